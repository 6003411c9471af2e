/** Checks contents against the digests they were announced with, while they stream by one after the other. */
import { createHash, type Hash } from 'node:crypto';
import { AppError } from '../../errors/index.js';
import { type EntryList, quoteName } from '../../layers/index.js';
import type { ByteSource } from '../../store/index.js';

export interface AnnouncedFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** In hex. */
  readonly sha256: string;
}

export interface AnnouncedFiles {
  readonly length: number;
  at(number: number): AnnouncedFile | undefined;
}

/** The files at these rows of a list. */
export function announced(list: EntryList, rows: readonly number[]): AnnouncedFiles {
  return {
    length: rows.length,
    at(number) {
      const row = rows[number];
      if (row === undefined) return undefined;
      return { path: list.path(row), sizeBytes: list.sizeBytesOf(row), sha256: list.sha256(row) ?? '' };
    },
  };
}

export class ContentCheck {
  private at = 0;
  private seen = 0;
  private hash: Hash = createHash('sha256');

  private file: AnnouncedFile | undefined;

  /** @param files none of them empty; made when their turn comes */
  constructor(private readonly files: AnnouncedFiles) {
    this.file = files.at(0);
  }

  /** Whether every file has passed. */
  get isComplete(): boolean {
    return this.at === this.files.length;
  }

  /** @throws AppError CONTEXT_CONTENT_MISMATCH in the source's place, naming the file */
  async *pass(source: ByteSource): ByteSource {
    for await (const chunk of source) {
      this.update(chunk);
      yield chunk;
    }
  }

  private update(chunk: Uint8Array): void {
    for (let from = 0; from < chunk.length;) {
      const { file } = this;
      if (file === undefined) return;
      const to = Math.min(chunk.length, from + file.sizeBytes - this.seen);
      this.hash.update(chunk.subarray(from, to));
      this.seen += to - from;
      from = to;
      if (this.seen === file.sizeBytes) this.next(file);
    }
  }

  private next(file: AnnouncedFile): void {
    if (this.hash.digest('hex') !== file.sha256) {
      throw new AppError('CONTEXT_CONTENT_MISMATCH', `${quoteName(file.path)} is not what its digest says`, {
        kind: 'conflict',
        hint: 'did it change while it was sent? make the list again',
        details: { path: file.path },
      });
    }
    this.at += 1;
    this.file = this.files.at(this.at);
    this.seen = 0;
    this.hash = createHash('sha256');
  }
}
