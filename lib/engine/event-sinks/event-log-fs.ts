/**
 * The engine's events in a file, one JSON document a line, rotated: `events.jsonl`, then `events.jsonl.1`, the next
 * older one, and so on. Taking an event never waits; what was taken is written in order, and on close to the end.
 */
import { appendFile, mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoCode } from '../../errors/index.js';
import type { Logger } from '../../store/index.js';
import type { EngineEvent } from '../types.js';
import type { EventSink } from './event-sink.js';

export interface EventLogOptions {
  readonly path: string;
  /** The file is put away once it is this large. @default 10 MiB */
  readonly maxBytes?: number;
  /** Files that are kept beside the current one. @default 5 */
  readonly kept?: number;
}

const MAX_BYTES = 10 * 1024 * 1024;
const KEPT = 5;
/** Characters that may wait for a slow disk; what comes beyond them is dropped and counted. */
const MOST_WAITING = 16 * 1024 * 1024;

export class EventLogFile implements EventSink {
  #waiting: string[] = [];
  #waitingSize = 0;
  #dropped = 0;
  #writing: Promise<void> | undefined;

  constructor(
    private readonly deps: { readonly logger: Logger },
    private readonly options: EventLogOptions,
  ) {}

  take(event: EngineEvent): void {
    const line = `${JSON.stringify(event)}\n`;
    if (this.#waitingSize + line.length > MOST_WAITING) {
      this.#dropped += 1;
      return;
    }
    this.#waiting.push(line);
    this.#waitingSize += line.length;
    this.#writing ??= this.#write();
  }

  async close(): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        const text = this.#waiting.join('');
        this.#waiting = [];
        this.#waitingSize = 0;
        await this.#append(text);
      }
      if (this.#dropped > 0) this.deps.logger.warn('events were not written to their log', { count: this.#dropped });
      this.#dropped = 0;
    } catch (error) {
      this.deps.logger.error('the event log cannot be written', { path: this.options.path, error: String(error) });
    } finally {
      this.#writing = undefined;
    }
  }

  async #append(text: string): Promise<void> {
    const { path, maxBytes = MAX_BYTES } = this.options;
    await mkdir(dirname(path), { recursive: true });
    if ((await sizeOf(path)) >= maxBytes) await this.#rotate();
    await appendFile(path, text, { mode: 0o600 });
  }

  async #rotate(): Promise<void> {
    const { path, kept = KEPT } = this.options;
    await rm(`${path}.${String(kept)}`, { force: true });
    for (let number = kept - 1; number >= 1; number -= 1) {
      await rename(`${path}.${String(number)}`, `${path}.${String(number + 1)}`).catch(unlessAbsent);
    }
    if (kept > 0) await rename(path, `${path}.1`);
    else await rm(path);
  }
}

async function sizeOf(path: string): Promise<number> {
  const found = await stat(path).catch(unlessAbsent);
  return found?.size ?? 0;
}

function unlessAbsent(error: unknown): undefined {
  if (errnoCode(error) === 'ENOENT') return undefined;
  throw error;
}
