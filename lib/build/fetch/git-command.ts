/**
 * The host's git, as far as a stranger's address may use it: no configuration of the machine or a user, no hooks, no
 * credentials but those handed over, no protocol but http, https and ssh, no redirects, and connections only to the
 * address that was checked (`git-transport.ts`). Nothing is ever checked out, so no filter and no link of a repository comes to life.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { AppError, errnoCode, startedProcess } from '../../errors/index.js';
import type { GitTransport } from './git-transport.js';

/** Not the containers' room's: this file also goes where there are no containers. */
const HOST_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Lists of references and of files; contents do not come this way. */
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

interface GitResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}

export interface GitCommandOptions {
  /** Repository, and HOME. */
  readonly directory: string;
  /** As messages name it. */
  readonly name: string;
  readonly transport: GitTransport;
  /** No file that git writes is larger. */
  readonly maxBytes: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export class GitCommand {
  constructor(private readonly options: GitCommandOptions) {}

  /** @throws AppError BUILD_GIT_MISSING, BUILD_GIT_FAILED, BUILD_REMOTE_TIMEOUT, or the signal's reason */
  async run(...args: readonly string[]): Promise<string> {
    const result = await this.try(...args);
    if (result.exitCode === 0) return result.stdout;
    throw this.failed(args[0] ?? '', result.stderr);
  }

  /** @throws AppError BUILD_GIT_MISSING, BUILD_REMOTE_TIMEOUT, or the signal's reason */
  async try(...args: readonly string[]): Promise<GitResult> {
    const { directory, signal, timeoutMs } = this.options;
    try {
      const command = ['prlimit', this.fileLimit(), 'git', ...args];
      const result = await this.output(command, directory, AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]));
      signal.throwIfAborted();
      if (result.exitCode === 127) throw missing();
      if (result.timedOut) throw this.late(args[0] ?? '');
      return result;
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') throw missing();
      throw error;
    }
  }

  private output([program = '', ...args]: readonly string[], cwd: string, stop: AbortSignal): Promise<GitResult> {
    return new Promise((resolve, reject) => {
      const env = { PATH: HOST_PATH, LC_ALL: 'C', ...this.environment() };
      // A group of its own: what git starts (transports, ssh) ends with it, however long a server keeps them waiting.
      const child = startedProcess(
        spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true }),
      );
      const kill = (): void => endGroup(child.pid);
      stop.addEventListener('abort', kill, { once: true });
      if (stop.aborted) kill();
      const said = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
      let bytes = 0;
      for (const name of ['stdout', 'stderr'] as const) {
        child[name].on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > MAX_OUTPUT_BYTES) kill();
          else said[name].push(chunk);
        });
      }
      child.once('error', reject);
      child.once('close', (code) => {
        stop.removeEventListener('abort', kill);
        const text = (name: 'stdout' | 'stderr'): string => Buffer.concat(said[name]).toString('utf8');
        resolve({ exitCode: code ?? 137, stdout: text('stdout'), stderr: text('stderr'), timedOut: stop.aborted });
      });
    });
  }

  /**
   * Contents of objects, in the order of the ids.
   * @throws AppError BUILD_GIT_FAILED
   */
  async *objects(ids: readonly string[]): AsyncGenerator<AsyncIterable<Uint8Array>, void, undefined> {
    const child = startedProcess(
      spawn('git', ['cat-file', '--batch'], {
        cwd: this.options.directory,
        env: { PATH: HOST_PATH, LC_ALL: 'C', ...this.environment() },
        stdio: ['pipe', 'pipe', 'ignore'],
        signal: this.options.signal,
      }),
    );
    child.on('error', () => undefined);
    child.stdin.on('error', () => undefined);
    child.stdin.end(ids.map((id) => `${id}\n`).join(''));
    const reader = new ObjectReader(child.stdout as AsyncIterable<Buffer>);
    try {
      for (const id of ids) {
        const [, type, size] = /^\S+ (\S+) (\d+)$/.exec(await reader.line()) ?? [];
        if (type !== 'blob' || size === undefined) throw this.failed('cat-file', `${id} is no file of the repository`);
        yield reader.bytes(Number(size));
        await reader.finish();
      }
    } finally {
      const closed = child.exitCode === null && child.signalCode === null ? once(child, 'close') : undefined;
      child.kill('SIGKILL');
      await closed?.catch(() => undefined);
    }
  }

  private fileLimit(): string {
    return `--fsize=${this.options.maxBytes}`;
  }

  private environment(): Readonly<Record<string, string>> {
    const { directory, transport } = this.options;
    const config: readonly (readonly [string, string])[] = [
      ['protocol.file.allow', 'never'],
      ['protocol.ext.allow', 'never'],
      ['core.hooksPath', '/dev/null'],
      ['core.fsmonitor', 'false'],
      ['credential.helper', ''],
      ['gc.auto', '0'],
      ['init.defaultBranch', 'main'],
      ['fetch.unpackLimit', '1'],
      ...transport.config,
    ];
    const entries = config.flatMap(([key, value], i) => [
      [`GIT_CONFIG_KEY_${i}`, key],
      [`GIT_CONFIG_VALUE_${i}`, value],
    ]);
    return {
      HOME: directory,
      XDG_CONFIG_HOME: directory,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_CONFIG_COUNT: String(config.length),
      GIT_ALLOW_PROTOCOL: transport.protocols,
      GIT_TERMINAL_PROMPT: '0',
      GIT_ASKPASS: '/bin/false',
      GIT_DIR: directory,
      GIT_NO_REPLACE_OBJECTS: '1',
      ...transport.environment,
      ...Object.fromEntries(entries),
    };
  }

  private late(what: string): AppError {
    const { name, timeoutMs } = this.options;
    const message = `git ${what} of ${name} did not end within ${timeoutMs / 1000} s`;
    return new AppError('BUILD_REMOTE_TIMEOUT', message, { kind: 'failed', retryable: true });
  }

  private failed(what: string, stderr: string): AppError {
    const lines = stderr.split('\n').filter((line) => line.trim() !== '');
    // Of ssh git only says that there was no answer.
    const ssh = lines.find((line) => /permission denied|host key|connection|no matching/i.test(line));
    const said = ssh ?? lines.findLast((line) => /^(fatal|error|remote):/.test(line)) ?? lines.at(-1);
    const message = `git ${what} of ${this.options.name} failed: ${said ?? 'no reason given'}`;
    return new AppError('BUILD_GIT_FAILED', message, { kind: 'failed' });
  }
}

/** `<id> blob <size>\n<content>\n`, again and again. */
class ObjectReader {
  private readonly source: AsyncIterator<Buffer>;
  private held: Buffer = Buffer.alloc(0);
  private left = 0;

  constructor(source: AsyncIterable<Buffer>) {
    this.source = source[Symbol.asyncIterator]();
  }

  async line(): Promise<string> {
    for (;;) {
      const end = this.held.indexOf(10);
      if (end >= 0) {
        const line = this.held.subarray(0, end).toString('latin1');
        this.held = this.held.subarray(end + 1);
        return line;
      }
      if (this.held.length > 4096 || !(await this.more())) return '';
    }
  }

  async *bytes(size: number): AsyncGenerator<Uint8Array, void, undefined> {
    this.left = size;
    while (this.left > 0) {
      if (this.held.length === 0 && !(await this.more())) {
        throw new AppError('BUILD_GIT_FAILED', 'git cat-file broke off', { kind: 'failed' });
      }
      const part = this.held.subarray(0, this.left);
      this.held = this.held.subarray(part.length);
      this.left -= part.length;
      yield part;
    }
  }

  /** Passes over what nobody read, and the line's end. */
  async finish(): Promise<void> {
    this.left += 1;
    for await (const _ of this.bytes(this.left));
  }

  private async more(): Promise<boolean> {
    const next = await this.source.next();
    if (next.done === true) return false;
    this.held = this.held.length === 0 ? next.value : Buffer.concat([this.held, next.value]);
    return true;
  }
}

function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if (errnoCode(error) !== 'ESRCH') throw error;
  }
}

function missing(): AppError {
  return new AppError('BUILD_GIT_MISSING', 'ADD of a git repository needs git, which this builder does not have', {
    kind: 'unsupported',
    hint: 'install git on the builder, or ADD an archive of the repository by its URL',
  });
}
