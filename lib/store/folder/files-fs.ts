/**
 * What the folder stores ask of a file system. A port, so that a test can put one under them that forgets, in a crash,
 * all that was not synced.
 */
import { mkdir, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { errnoCode } from '../../errors/index.js';

export interface OpenFile {
  /** The descriptor of the system, where there is one. */
  readonly fd?: number;
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
  /** @param position null: where the file stands, which is its end when it was opened for appending */
  write(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number | null,
  ): Promise<{ readonly bytesWritten: number }>;
  truncate(sizeBytes: number): Promise<void>;
  /** The bytes, and the size, are on disk when this resolves. Of a folder: the names in it. */
  sync(): Promise<void>;
  datasync(): Promise<void>;
  stat(): Promise<{ readonly size: number }>;
  close(): Promise<void>;
}

/** With the errors of the system: ENOENT, EEXIST, ENOSPC. */
export interface Files {
  /** @param flags as of open(2) in Node: r, r+, wx, a, and `as`, whose writes are synced when they resolve */
  open(path: string, flags: string, mode?: number): Promise<OpenFile>;
  /** With its parents; gives the first one that was made. */
  mkdir(path: string, options: { readonly recursive: true; readonly mode: number }): Promise<string | undefined>;
  rename(from: string, to: string): Promise<void>;
  /** Of a file; ENOENT when it is not there. */
  unlink(path: string): Promise<void>;
  /** Of a file or a folder with all that is in it; nothing when it is not there. */
  rm(path: string, options: { readonly force: true; readonly recursive: true }): Promise<void>;
  readdir(path: string): Promise<string[]>;
  stat(path: string): Promise<{ readonly size: number; readonly mtimeMs: number }>;
}

export const systemFiles: Files = { open, mkdir, rename, unlink, rm, readdir: (path) => readdir(path), stat };

/** Idempotent. */
export async function remove(path: string, files: Files): Promise<void> {
  try {
    await files.unlink(path);
  } catch (error) {
    if (errnoCode(error) !== 'ENOENT') throw error;
  }
}
