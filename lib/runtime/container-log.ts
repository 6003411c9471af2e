/**
 * What a container wrote, from the log file its supervisor keeps (the `k8s-file` format): one line per line, as
 * `<RFC 3339 time> <stdout|stderr> <P|F> <text>`; P marks a part of a line that goes on in the next entry.
 */
import { type FileHandle, open, stat } from 'node:fs/promises';
import { StringDecoder } from 'node:string_decoder';
import { errnoCode } from '../errors/index.js';
import type { Clock } from '../store/index.js';

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
 * The lines of a log, oldest first. Followed, it waits for a file that is not there yet, goes on in the new file when
 * the supervisor rotates, and ends when the container has, or when the signal aborts.
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
  let tail: LogTail | undefined;
  try {
    while (!aborted()) {
      const ended = options.follow !== true || options.ended();
      tail ??= await LogTail.open(path);
      if (tail !== undefined) {
        for await (const text of tail.lines()) {
          const entry = parseLogEntry(text);
          const line = entry === undefined ? undefined : joiner.push(entry);
          if (wanted(line)) yield line;
          if (aborted()) return;
        }
        if (await tail.isReplaced()) {
          await tail.close();
          tail = undefined;
          continue;
        }
      }
      if (ended) break;
      await clock.sleep(FOLLOW_MS, options.signal).catch(() => undefined);
    }
    if (!aborted()) yield* joiner.rest().filter(wanted);
  } finally {
    await tail?.close();
  }
}

/** A file read from where the last read ended. */
class LogTail {
  private position = 0;
  private pending = '';
  private readonly decoder = new StringDecoder('utf8');

  private constructor(
    private readonly path: string,
    private readonly file: FileHandle,
    private readonly inode: number,
  ) {}

  static async open(path: string): Promise<LogTail | undefined> {
    try {
      const file = await open(path, 'r');
      return new LogTail(path, file, (await file.stat()).ino);
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

  /** Whether the name now belongs to another file. */
  async isReplaced(): Promise<boolean> {
    const now = await stat(this.path).catch(() => undefined);
    if (now === undefined || now.ino === this.inode) return false;
    // Written between the last read and the rotation.
    return (await this.file.stat()).size <= this.position;
  }

  close(): Promise<void> {
    return this.file.close();
  }
}
