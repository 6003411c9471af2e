/**
 * Threads that hash large blobs and write them to their files, so that the thread that answers requests does neither.
 * Chunks are handed over with their memory: what the collector of garbage never sees it need not count, and counting
 * the memory of chunks costs as much as hashing them. Bytes of shared memory are hashed where they lie.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Digest, DigestAlgorithm } from '../oci/index.js';

/** One waits for the disk while another hashes. */
const FEWEST_THREADS = 2;
const MOST_THREADS = 4;

/**
 * Each message but `drop` gets one answer, in order. A file is known by its descriptor, which is one of the whole process;
 * whoever opened it keeps it open until the answer comes.
 */
const THREAD = `
  const { MessageChannel, parentPort } = require('node:worker_threads');
  const { createHash } = require('node:crypto');
  const { writevSync, writeSync } = require('node:fs');
  const { crc32 } = require('node:zlib');
  const hashes = new Map();
  const sums = new Map();
  // What is sent where nobody listens is freed at once; the collector of garbage would let much of it wait.
  const { port1: nowhere, port2 } = new MessageChannel();
  port2.close();
  const writeAll = (fd, chunks, position) => {
    let done = writevSync(fd, chunks, position);
    let start = 0;
    for (const chunk of chunks) {
      for (let at = Math.max(0, done - start); at < chunk.length; ) {
        const written = writeSync(fd, chunk, at, chunk.length - at, position + start + at);
        at += written;
        done += written;
      }
      start += chunk.length;
    }
  };
  const work = {
    write({ hash, algorithm, fd, position, chunks }) {
      if (algorithm !== undefined) hashes.set(hash, createHash(algorithm));
      writeAll(fd, chunks, position);
      const state = hashes.get(hash);
      for (const chunk of chunks) state.update(chunk);
      nowhere.postMessage(undefined, chunks.map(({ buffer }) => buffer));
    },
    take({ hash, algorithm, bytes }) {
      if (algorithm !== undefined) hashes.set(hash, createHash(algorithm));
      hashes.get(hash).update(bytes);
      sums.set(hash, crc32(bytes, sums.get(hash)));
      return { sha256: createHash('sha256').update(bytes).digest('hex'), crc: sums.get(hash) };
    },
    digest: ({ hash }) => hashes.get(hash).copy().digest('hex'),
  };
  parentPort.on('message', (message) => {
    if (message.op === 'drop') {
      sums.delete(message.hash);
      return void hashes.delete(message.hash);
    }
    try {
      parentPort.postMessage({ result: work[message.op](message) });
    } catch (error) {
      parentPort.postMessage({ problem: { message: error.message, code: error.code, errno: error.errno, syscall: error.syscall } });
    }
  });`;

type Message =
  | {
      readonly op: 'write';
      readonly hash: number;
      /** With the first bytes only. */
      readonly algorithm: DigestAlgorithm | undefined;
      readonly fd: number;
      readonly position: number;
      readonly chunks: readonly Uint8Array[];
    }
  | {
      readonly op: 'take';
      readonly hash: number;
      readonly algorithm: DigestAlgorithm | undefined;
      readonly bytes: Uint8Array<SharedArrayBuffer>;
    }
  | { readonly op: 'digest' | 'drop'; readonly hash: number };

/** Of bytes that were hashed where they lie. */
export interface TakenBytes {
  /** Of these bytes alone, in hex. */
  readonly sha256: string;
  /** CRC-32 of all bytes so far. */
  readonly crc: number;
}

type Answer = { readonly result: unknown } | { readonly problem: { readonly message: string; readonly code?: string } };

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

class WriteThread {
  isAlive = true;
  private readonly worker: Worker;
  private readonly waiting: Waiting[] = [];

  constructor() {
    // Without the flags of this process: a loader for TypeScript would only slow its start.
    this.worker = new Worker(THREAD, { eval: true, execArgv: [] });
    this.worker.on('message', (answer: Answer) => this.answered(answer));
    this.worker.on('error', (error) => this.fail(error));
    this.worker.on('exit', () => this.fail(new Error('a thread that writes uploads ended')));
    this.worker.unref();
  }

  ask(message: Message, handedOver: readonly ArrayBuffer[] = []): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (!this.isAlive) return reject(new Error('a thread that writes uploads ended'));
      // While somebody waits, the process goes on.
      if (this.waiting.push({ resolve, reject }) === 1) this.worker.ref();
      this.worker.postMessage(message, handedOver);
    });
  }

  tell(message: Message): void {
    if (this.isAlive) this.worker.postMessage(message, []);
  }

  private answered(answer: Answer): void {
    const next = this.waiting.shift();
    if (this.waiting.length === 0) this.worker.unref();
    if ('result' in answer) next?.resolve(answer.result);
    else next?.reject(Object.assign(new Error(answer.problem.message), answer.problem));
  }

  private fail(error: Error): void {
    this.isAlive = false;
    for (const each of this.waiting.splice(0)) each.reject(error);
  }
}

const threads: WriteThread[] = [];
const count = Math.max(FEWEST_THREADS, Math.min(MOST_THREADS, availableParallelism() - 1));
let hashes = 0;

/** For a process that stays: threads take a tenth of a second to start, and the first pushes need not wait for that. */
export function startWriteThreads(): void {
  for (let place = 0; place < count; place++) threadAt(place);
}

/** Threads are made when they are first needed, or before, and stay. */
function threadAt(place: number): WriteThread {
  const known = threads[place];
  if (known?.isAlive === true) return known;
  return (threads[place] = new WriteThread());
}

/** The hash of one upload, which grows with what is written through it. */
export class ThreadHash {
  private readonly thread = threadAt(hashes % count);
  private readonly id = ++hashes;
  private counted = 0;

  constructor(readonly algorithm: DigestAlgorithm) {}

  /** Bytes handed over so far. */
  get sizeBytes(): number {
    return this.counted;
  }

  /** False when its thread ended: then the bytes must be read again. */
  get isKnown(): boolean {
    return this.thread.isAlive;
  }

  /** Hashes the chunks and writes them there. @param handsOver their memory goes with them, where it holds nothing else */
  async write(fd: number, chunks: readonly Uint8Array[], position: number, handsOver: boolean): Promise<void> {
    const algorithm = this.counted === 0 ? this.algorithm : undefined;
    for (const chunk of chunks) this.counted += chunk.length;
    const given = chunks.map((chunk) => (handsOver && hasItsOwnMemory(chunk) ? chunk : new Uint8Array(chunk)));
    const memory = given.map(({ buffer }) => buffer);
    await this.thread.ask({ op: 'write', hash: this.id, algorithm, fd, position, chunks: given }, memory);
  }

  /** Hashes bytes of shared memory, which must stay as they are until this resolves. */
  async take(bytes: Uint8Array<SharedArrayBuffer>): Promise<TakenBytes> {
    const algorithm = this.counted === 0 ? this.algorithm : undefined;
    this.counted += bytes.length;
    return (await this.thread.ask({ op: 'take', hash: this.id, algorithm, bytes })) as TakenBytes;
  }

  /** Of all bytes so far; more may follow. */
  async digest(): Promise<Digest> {
    return `${this.algorithm}:${String(await this.thread.ask({ op: 'digest', hash: this.id }))}` as Digest;
  }

  /** Nobody will ask any more. */
  drop(): void {
    this.thread.tell({ op: 'drop', hash: this.id });
  }
}

function hasItsOwnMemory(chunk: Uint8Array): chunk is Uint8Array<ArrayBuffer> {
  return chunk.buffer instanceof ArrayBuffer && chunk.byteLength === chunk.buffer.byteLength;
}
