/**
 * Writes zstd where Node has none of its own: blocks of some MiB, each a whole frame (RFC 8878, section 3.1), which
 * every reader takes as one stream. The WebAssembly build knows only whole buffers and blocks the thread it runs on,
 * so it runs in threads of its own: memory stays bounded, and the platform goes on answering.
 */
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { AppError } from '../../errors/index.js';
import type { ByteSource } from '../../store/index.js';
import { rechunk } from '../byte-stream.js';

/** Larger frames compress a little better and cost each thread that much memory several times. */
const FRAME_BYTES = 4 * 1024 * 1024;
const PARALLEL = Math.min(4, availableParallelism());

/** An empty frame (one empty raw block), as `zstd` makes of no input. */
const EMPTY = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00);

/** Each message is a block; each answer its frame. One at a time, so that answers are in order. */
const THREAD = `
  const { parentPort, workerData } = require('node:worker_threads');
  const zstd = require(workerData.library);
  const ready = zstd.init();
  parentPort.on('message', async (block) => {
    try {
      await ready;
      const frame = zstd.compress(block, workerData.level);
      parentPort.postMessage({ frame }, [frame.buffer]);
    } catch (error) {
      parentPort.postMessage({ problem: String(error) });
    }
  });`;

/** @param level 1 to 22 */
export async function* writeZstd(source: ByteSource, level: number): ByteSource {
  const threads: CompressingThread[] = [];
  const running: Promise<Uint8Array>[] = [];
  let count = 0;
  try {
    for await (const block of rechunk(source, FRAME_BYTES)) {
      const thread = (threads[count % PARALLEL] ??= new CompressingThread(level));
      count += 1;
      const frame = thread.compress(block);
      // Its failure is met where it is awaited.
      frame.catch(() => {});
      running.push(frame);
      const first = running.length > PARALLEL ? running.shift() : undefined;
      if (first !== undefined) yield await first;
    }
    for (const frame of running) yield await frame;
    if (count === 0) yield EMPTY;
  } finally {
    await Promise.all(threads.map((thread) => thread.end()));
  }
}

type Answer = { readonly frame: Uint8Array } | { readonly problem: string };

class CompressingThread {
  private readonly worker: Worker;
  private readonly waiting: { resolve(frame: Uint8Array): void; reject(error: Error): void }[] = [];

  constructor(level: number) {
    const library = createRequire(import.meta.url).resolve('@bokuweb/zstd-wasm');
    // Without the flags of this process: a loader for TypeScript would only slow its start.
    this.worker = new Worker(THREAD, { eval: true, execArgv: [], workerData: { library, level } });
    this.worker.on('message', (answer: Answer) => {
      const next = this.waiting.shift();
      if ('frame' in answer) next?.resolve(answer.frame);
      else next?.reject(failed(answer.problem));
    });
    this.worker.on('error', (error) => this.fail(failed(String(error), error)));
    this.worker.on('exit', () => this.fail(failed('its thread ended')));
  }

  compress(block: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.worker.postMessage(block, []);
    });
  }

  async end(): Promise<void> {
    await this.worker.terminate();
  }

  private fail(error: Error): void {
    for (const each of this.waiting.splice(0)) each.reject(error);
  }
}

function failed(problem: string, cause?: unknown): AppError {
  return new AppError('COMPRESSION_FAILED', `zstd: ${problem}`, { kind: 'internal', cause });
}
