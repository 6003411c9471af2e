/**
 * What a container wrote, from the log file its supervisor keeps (the `k8s-file` format): one line per line, as
 * `<RFC 3339 time> <stdout|stderr> <P|F> <text>`; P marks a part of a line that goes on in the next entry.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { StringDecoder } from 'node:string_decoder';
import { errnoCode } from '../../errors/index.js';
import type { Clock } from '../../store/index.js';
import { fileFacts, putAwayNumbers, putAwayPath } from './log-files.js';

export interface ContainerLogLine {
  readonly timeMs: number;
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
}

interface LogEntry extends ContainerLogLine {
  readonly partial: boolean;
}

/** A longer line is handed on in pieces. */
const MAX_LINE_CHARACTERS = 256 * 1024;
const CHUNK_BYTES = 64 * 1024;
const FOLLOW_MS = 150;

/** One line of the file; undefined when it is not an entry. */
export function parseLogEntry(line: string): LogEntry | undefined {
  const match = /^(\S+) (stdout|stderr) ([PF])(?::\S*)?(?: (.*))?$/s.exec(line);
  if (match === null) return undefined;
  const timeMs = Date.parse(match[1] ?? '');
  if (Number.isNaN(timeMs)) return undefined;
  return {
    timeMs,
    stream: match[2] === 'stderr' ? 'stderr' : 'stdout',
    partial: match[3] === 'P',
    text: match[4] ?? '',
  };
}

/** Joins partial entries per stream. */
export class LogLineJoiner {
  private readonly open = new Map<string, { timeMs: number; text: string }>();

  push(entry: LogEntry): ContainerLogLine | undefined {
    const begun = this.open.get(entry.stream);
    const text = (begun?.text ?? '') + entry.text;
    const timeMs = begun?.timeMs ?? entry.timeMs;
    if (entry.partial && text.length < MAX_LINE_CHARACTERS) {
      this.open.set(entry.stream, { timeMs, text });
      return undefined;
    }
    this.open.delete(entry.stream);
    return { timeMs, stream: entry.stream, text };
  }

  /** What was written without a newline at the end. */
  rest(): ContainerLogLine[] {
    const lines = [...this.open].map(([stream, { timeMs, text }]) => ({
      timeMs,
      stream: stream === 'stderr' ? ('stderr' as const) : ('stdout' as const),
      text,
    }));
    this.open.clear();
    return lines;
  }
}

export interface ReadLogOptions {
  readonly follow?: boolean;
  /** Only lines written at this time or later. */
  readonly sinceMs?: number;
  readonly signal?: AbortSignal;
  /** Whether nothing more will be written; asked before the last read of a followed log. */
  readonly ended: () => boolean;
}

/**
 * The lines of a log, oldest first, over all its files. Followed, it waits for a file that is not there yet, goes on in
 * the next one when one is put away or begun anew, and ends when the container has, or when the signal aborts.
 */
export async function* readContainerLog(
  path: string,
  clock: Clock,
  options: ReadLogOptions,
): AsyncGenerator<ContainerLogLine> {
  const joiner = new LogLineJoiner();
  const wanted = (line: ContainerLogLine | undefined): line is ContainerLogLine =>
    line !== undefined && line.timeMs >= (options.sinceMs ?? 0);
  const aborted = (): boolean => options.signal?.aborted === true;
  const files = new LogFileReader(path);
  try {
    while (!aborted()) {
      const ended = options.follow !== true || options.ended();
      // Asked before the last read of a file, so that nothing is written to it after that read.
      const isComplete = await files.isComplete();
      for await (const text of files.lines()) {
        const entry = parseLogEntry(text);
        const line = entry === undefined ? undefined : joiner.push(entry);
        if (wanted(line)) yield line;
        if (aborted()) return;
      }
      if (isComplete) {
        await files.next();
        continue;
      }
      if (ended) break;
      await clock.sleep(FOLLOW_MS, options.signal).catch(() => undefined);
    }
    if (!aborted()) yield* joiner.rest().filter(wanted);
  } finally {
    await files.close();
  }
}

/** One file of the log after the other, each from where the last read of it ended. */
class LogFileReader {
  private tail: LogTail | undefined;
  /** Of the file that is read, if it was put away already when it was opened. */
  private number: number | undefined;
  /** All files up to this one are behind us. */
  private behind = 0;

  constructor(private readonly path: string) {}

  /** Whether there is a file after this one. One that nothing follows may still be written, whatever its name. */
  async isComplete(): Promise<boolean> {
    if (this.tail === undefined) await this.next();
    if (this.tail === undefined) return false;
    const current = await fileFacts(this.path);
    if (this.number === undefined) {
      if (current?.inode === this.tail.inode) return false;
      const own = await this.numberOf(this.tail.inode);
      return current !== undefined || (await putAwayNumbers(this.path)).some((number) => number > (own ?? this.behind));
    }
    const own = this.number;
    return current !== undefined || (await putAwayNumbers(this.path)).some((number) => number > own);
  }

  async *lines(): AsyncGenerator<string> {
    if (this.tail !== undefined) yield* this.tail.lines();
  }

  /** Goes on to the file after this one, or to the oldest; stays without one when there is none yet. */
  async next(): Promise<void> {
    const passed = this.tail === undefined ? undefined : (this.number ?? (await this.numberOf(this.tail.inode)));
    this.behind = Math.max(this.behind, passed ?? 0);
    const { pending = '' } = this.tail ?? {};
    await this.tail?.close();
    this.tail = undefined;
    for (;;) {
      const numbers = await putAwayNumbers(this.path);
      this.number = numbers.find((number) => number > this.behind);
      const name = this.number === undefined ? this.path : putAwayPath(this.path, this.number);
      this.tail = await LogTail.open(name, pending);
      // Those that are there now are older than the one that is being written.
      if (this.number === undefined) this.behind = Math.max(this.behind, numbers.at(-1) ?? 0);
      if (this.number === undefined || this.tail !== undefined) return;
      // Removed between the look and the opening.
      this.behind = this.number;
    }
  }

  close(): Promise<void> {
    return this.tail?.close() ?? Promise.resolve();
  }

  private async numberOf(inode: number): Promise<number | undefined> {
    for (const number of await putAwayNumbers(this.path)) {
      if ((await fileFacts(putAwayPath(this.path, number)))?.inode === inode) return number;
    }
    return undefined;
  }
}

/** A file read from where the last read ended. */
class LogTail {
  private position = 0;
  private readonly decoder = new StringDecoder('utf8');

  private constructor(
    private readonly file: FileHandle,
    readonly inode: number,
    /** The beginning of a line whose end has not been read. */
    public pending: string,
  ) {}

  static async open(path: string, pending: string): Promise<LogTail | undefined> {
    try {
      const file = await open(path, 'r');
      return new LogTail(file, (await file.stat()).ino, pending);
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Whole lines that were added since the last call. */
  async *lines(): AsyncGenerator<string> {
    const buffer = Buffer.alloc(CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await this.file.read(buffer, 0, buffer.length, this.position);
      if (bytesRead === 0) return;
      this.position += bytesRead;
      const parts = (this.pending + this.decoder.write(buffer.subarray(0, bytesRead))).split('\n');
      this.pending = parts.pop() ?? '';
      yield* parts;
    }
  }

  close(): Promise<void> {
    return this.file.close();
  }
}
