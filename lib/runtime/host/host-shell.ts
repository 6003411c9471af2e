/**
 * A shell that starts programs of the host for us, one after the other, for as long as it is wanted. To start one, a
 * process has itself copied, and while that goes on it does nothing else: for ours that is several milliseconds, for a
 * shell a fraction of one. It has a process group of its own: Ctrl-C in a terminal is not for it; and it ends with us.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import type { Readable, Writable } from 'node:stream';
import { startedProcess } from '../../errors/index.js';

/** What is kept of a program's output; the rest is dropped, since only messages and small JSON are read here. */
const MAX_OUTPUT_BYTES = 4 * 1024 * 1024;
/** More than a mark has. */
const TAIL_BYTES = 64;
/** 128 + SIGKILL. */
const KILLED = 137;

export interface ShellCommand {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Gets what goes to standard error, at its end; standard output is dropped then. */
  readonly errorsTo?: string;
}

export interface ShellResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class HostShell {
  private readonly process: ChildProcess;
  private readonly stdin: Writable;
  private readonly stdout: Words;
  private readonly stderr: Words;
  private running = false;
  private gone = false;

  constructor(env: Readonly<Record<string, string>>) {
    const child = startedProcess(
      spawn('/bin/sh', [], { env: { ...env }, stdio: ['pipe', 'pipe', 'pipe'], detached: true }),
    );
    this.process = child;
    this.stdin = child.stdin;
    this.stdout = new Words(child.stdout);
    this.stderr = new Words(child.stderr);
    // What is written to one that has gone is lost, as it would be a moment later.
    child.stdin.on('error', () => undefined);
    const leave = (): void => {
      this.gone = true;
      this.stdout.end();
      this.stderr.end();
    };
    child.once('error', leave);
    child.once('exit', leave);
    this.hold(false);
  }

  /** Whether it can be given the next command. */
  get isReady(): boolean {
    return !this.running && !this.gone;
  }

  /** Resolves when the program has ended; with 137 when it was killed. */
  async run(words: readonly string[], command: ShellCommand): Promise<ShellResult> {
    const mark = randomUUID();
    this.running = true;
    this.hold(true);
    try {
      const said = Promise.all([this.stdout.until(`${mark} `), this.stderr.until(mark)]);
      this.stdin.write(script(words, command, mark));
      const [stdout, stderr] = await said;
      const told = { stdout: stdout.text, stderr: stderr.text };
      if (!stdout.isWhole) return { ...told, exitCode: KILLED };
      const code = await this.stdout.until('\n');
      return { ...told, exitCode: code.isWhole ? Number(code.text) : KILLED };
    } finally {
      this.running = false;
      this.hold(false);
    }
  }

  /** SIGKILL, for the program that runs and the shell itself. */
  kill(): void {
    const { pid } = this.process;
    if (pid === undefined || this.gone) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // Gone already.
    }
  }

  /** No more commands. */
  end(): void {
    this.stdin.end();
  }

  /** Whether our process stays for it. */
  private hold(isHeld: boolean): void {
    const { process: child } = this;
    for (const part of [child, child.stdin, child.stdout, child.stderr]) {
      const handle = part as { ref?: () => void; unref?: () => void } | null;
      if (isHeld) handle?.ref?.();
      else handle?.unref?.();
    }
  }
}

interface Said {
  readonly text: string;
  /** Whether the mark came. */
  readonly isWhole: boolean;
}

/** What a shell says, up to a mark that nobody else knows. */
class Words {
  private chunks: Buffer[] = [];
  private bytes = 0;
  /** Of what was looked at: a mark may have begun there. */
  private tail = Buffer.alloc(0);
  private waiting: { readonly mark: string; readonly tell: (said: Said) => void } | undefined;
  private ended = false;

  constructor(stream: Readable) {
    stream.on('data', (chunk: Buffer) => this.take(chunk));
    stream.on('error', () => this.end());
  }

  /** What comes before the mark, or until the end. */
  until(mark: string): Promise<Said> {
    return new Promise((tell) => {
      this.waiting = { mark, tell };
      this.look();
    });
  }

  end(): void {
    this.ended = true;
    this.look();
  }

  private take(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.bytes += chunk.length;
    this.tail = Buffer.concat([this.tail, chunk]);
    const mayEnd = this.waiting !== undefined && this.tail.includes(this.waiting.mark);
    this.tail = Buffer.from(this.tail.subarray(-TAIL_BYTES));
    if (mayEnd) return this.look();
    if (this.bytes > 2 * MAX_OUTPUT_BYTES) {
      const all = Buffer.concat(this.chunks);
      this.keep([all.subarray(0, MAX_OUTPUT_BYTES), all.subarray(-TAIL_BYTES)]);
    }
  }

  private look(): void {
    const { waiting } = this;
    if (waiting === undefined) return;
    const all = Buffer.concat(this.chunks);
    const at = all.lastIndexOf(waiting.mark);
    if (at < 0 && !this.ended) return;
    this.waiting = undefined;
    this.keep(at < 0 ? [] : [all.subarray(at + waiting.mark.length)]);
    const end = Math.min(at < 0 ? all.length : at, MAX_OUTPUT_BYTES);
    waiting.tell({ text: all.subarray(0, end).toString('utf8'), isWhole: at >= 0 });
  }

  private keep(chunks: Buffer[]): void {
    this.chunks = chunks;
    this.bytes = chunks.reduce((sum, { length }) => sum + length, 0);
  }
}

/** Both streams end with the mark, so that what the program wrote is there before it. */
function script(words: readonly string[], { cwd, env = {}, input, errorsTo }: ShellCommand, mark: string): string {
  const settings = Object.entries(env).map(([name, value]) => `${name}=${quoted(value)}`);
  const folder = cwd === undefined ? '' : `cd ${quoted(cwd)} && `;
  const program = [...settings, ...words.map(quoted)].join(' ');
  const output = errorsTo === undefined ? '' : ` >/dev/null 2>>${quoted(errorsTo)}`;
  // A here-document ends with a line of its own.
  const given =
    input === undefined || input === '' ? '</dev/null' : `<<'${mark}'\n${input.replace(/\n?$/, '\n')}${mark}`;
  return `(${folder}${program}${output}) ${given}\nprintf '%s %d\\n' ${mark} $?; printf %s ${mark} >&2\n`;
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
