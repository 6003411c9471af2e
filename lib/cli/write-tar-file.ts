/** A tar into a file that is whole or not there. */
import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

/** @param path absolute, or `-` for standard output */
export async function writeTarFile(tar: AsyncIterable<Uint8Array>, path: string): Promise<void> {
  if (path === '-') return pipeline(tar, process.stdout, { end: false });
  const partial = `${path}.partial`;
  try {
    await pipeline(tar, createWriteStream(partial));
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}
