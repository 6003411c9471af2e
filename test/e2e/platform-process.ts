/** A platform in a process of its own, started as a user starts it, and the command line beside it. */
import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { hostResidue } from '../../lib/runtime/index.js';

export interface Ready {
  readonly url: string;
  readonly registry: string;
  readonly ecs: string;
  readonly token: string;
}

export interface CommandOutcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const PROGRAM = resolve('bin/wharf.cjs');
const LONGEST_COMMAND_MS = 120_000;

export class PlatformProcess {
  private child: ChildProcessByStdio<null, Readable, Readable> | undefined;
  private stderr = '';
  ready: Ready | undefined;

  private constructor(
    readonly folder: string,
    readonly data: string,
  ) {}

  /** @param data a folder of the caller's; a fresh one when absent */
  static async create(data?: string): Promise<PlatformProcess> {
    const folder = await mkdtemp(join(tmpdir(), 'wharf-e2e-'));
    return new PlatformProcess(folder, data ?? join(folder, 'data'));
  }

  /** Starts it and waits for its one line. */
  async start(...more: readonly string[]): Promise<Ready> {
    const child = this.launch(...more);
    const line = await new Promise<string>((resolveLine, reject) => {
      createInterface({ input: child.stdout }).once('line', resolveLine);
      child.once('exit', (code) => reject(new Error(`wharf up ended with ${code}: ${this.stderr}`)));
    });
    this.ready = JSON.parse(line) as Ready;
    return this.ready;
  }

  /** Starts it, at the address it had before, and leaves it to itself. */
  launch(...more: readonly string[]): ChildProcessByStdio<null, Readable, Readable> {
    const port = this.ready === undefined ? '0' : new URL(this.ready.url).port;
    const args = [PROGRAM, 'up', '--data', this.data, '--listen', `127.0.0.1:${port}`, '--json', ...more];
    // Said, since under Jest it is otherwise the variables that Jest began with.
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env: process.env });
    this.child = child;
    child.stderr.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    return child;
  }

  /** Sends the signal and waits for the end; the exit code, or the signal's name. */
  async end(signal: 'SIGINT' | 'SIGTERM' | 'SIGKILL'): Promise<number | string | null> {
    const { child } = this;
    if (child === undefined || child.exitCode !== null) return child?.exitCode ?? null;
    const ended = new Promise<number | string | null>((resolveEnd) =>
      child.once('exit', (code, by) => resolveEnd(code ?? by)),
    );
    child.kill(signal);
    return ended;
  }

  wharf(...args: readonly string[]): Promise<CommandOutcome> {
    // What stands behind -- is somebody else's.
    const end = args.includes('--') ? args.indexOf('--') : args.length;
    return runCommand(process.execPath, [PROGRAM, ...args.slice(0, end), '--data', this.data, ...args.slice(end)]);
  }

  /** The same, for commands that must work. */
  async must(...args: readonly string[]): Promise<CommandOutcome> {
    const outcome = await this.wharf(...args);
    if (outcome.exitCode !== 0) throw new Error(`wharf ${args.join(' ')}: ${outcome.exitCode}\n${outcome.stderr}`);
    return outcome;
  }

  api(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { authorization: `Bearer ${this.ready?.token}`, ...(init.headers as Record<string, string>) };
    return fetch(`${this.ready?.url}${path}`, { ...init, headers });
  }

  /** Whatever of this platform still exists on the host. */
  async residue(): Promise<readonly string[]> {
    const directory = join(this.data, 'runtime');
    const scope = join(directory, 'scope.json');
    if (!existsSync(scope)) return [];
    const { id } = JSON.parse(readFileSync(scope, 'utf8')) as { id: string };
    return hostResidue({ id, directory });
  }

  /** Deletes every cluster, ends the platform, tells what is left, and removes the folder. */
  async remove(): Promise<readonly string[]> {
    if (this.child?.exitCode === null && this.ready !== undefined) {
      const list = JSON.parse((await this.wharf('cluster', 'ls', '--json')).stdout || '{}') as {
        clusters?: { name: string }[];
      };
      for (const { name } of list.clusters ?? []) await this.wharf('cluster', 'rm', name, '--force');
      await this.end('SIGINT');
    }
    const left = await this.residue();
    if (left.length === 0) await rm(this.folder, { recursive: true, force: true });
    return left;
  }
}

export function runCommand(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<CommandOutcome> {
  return new Promise((resolveOutcome) => {
    const options = { timeout: LONGEST_COMMAND_MS, maxBuffer: 16 * 1024 * 1024, env: { ...process.env, ...env } };
    execFile(program, [...args], options, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code;
      resolveOutcome({ exitCode: typeof code === 'number' ? code : 1, stdout, stderr });
    });
  });
}
