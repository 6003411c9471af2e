/** A tar into a file that is whole or not there. */
import { createWriteStream } from 'node:fs';
import { access, constants, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { AppError, errnoCode } from '../errors/index.js';

/** Before there is anything to write. @param path as `writeTarFile` has it @throws AppError OUTPUT_UNWRITABLE */
export async function checkTarFile(path: string): Promise<void> {
  if (path === '-') return;
  const refuse = (why: string, cause?: unknown): AppError =>
    new AppError('OUTPUT_UNWRITABLE', `${path} cannot be written: ${why}`, {
      hint: 'the name of a file in a folder that is there',
      cause,
    });
  try {
    await access(dirname(path), constants.W_OK);
  } catch (error) {
    throw refuse(`the folder ${dirname(path)}: ${errnoCode(error) ?? 'it cannot be used'}`, error);
  }
  const there = await stat(path).catch(() => undefined);
  if (there?.isDirectory() === true) throw refuse('it is a folder');
}

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
