/**
 * The hash of an upload that another process began. A native hash cannot be saved, so the bytes that are there are
 * read once more, while the client sends the next ones: the hash trails behind the end of the file and catches up, and a
 * commit finds it done.
 */
import { Digester, type DigestAlgorithm } from '../../oci/index.js';
import type { OpenFile } from './files-fs.js';
import { readMemory } from './read-memory-fs.js';

const PIECE_BYTES = 1 << 20;

export class TrailingHash {
  private end: number;
  private wake: () => void = () => {};
  private isEnded = false;
  private readonly running: Promise<Digester>;

  /** @param file stays open until `finish` has resolved */
  constructor(file: OpenFile, algorithm: DigestAlgorithm, written: number) {
    this.end = written;
    this.running = this.follow(file, new Digester(algorithm));
    // Met where it is awaited.
    this.running.catch(() => {});
  }

  /** So many bytes more are in the file. */
  advance(bytes: number): void {
    this.end += bytes;
    this.wake();
  }

  /** Nothing more comes. */
  finish(): Promise<Digester> {
    this.isEnded = true;
    this.wake();
    return this.running;
  }

  private async follow(file: OpenFile, digester: Digester): Promise<Digester> {
    const piece = readMemory(PIECE_BYTES);
    for (;;) {
      const left = this.end - digester.sizeBytes;
      if (left > 0) {
        const { bytesRead } = await file.read(piece, 0, Math.min(left, PIECE_BYTES), digester.sizeBytes);
        if (bytesRead === 0) throw new Error('the bytes of an upload are shorter than its journal says');
        digester.update(piece.subarray(0, bytesRead));
      } else if (this.isEnded) return digester;
      else await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }
}
