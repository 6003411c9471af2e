/** The master key of an embedded platform: 32 random bytes in a file that only its owner may read. */
import { randomBytes } from 'node:crypto';
import { link, open, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AppError, errnoCode } from '../../errors/index.js';
import { diskError, makeDirectory, syncDirectory } from './durable-file-fs.js';

const KEY_BYTES = 32;

/**
 * Reads the key, and makes it at the first call. Of several processes that make it at once, one wins and all get its key.
 * @throws AppError KEY_FILE_EXPOSED when others may read the file, KEY_FILE_INVALID when it holds something else
 */
export async function openKeyFile(path: string): Promise<Buffer> {
  const found = await read(path);
  if (found !== undefined) return found;
  try {
    await make(path);
  } catch (error) {
    throw diskError(error);
  }
  const made = await read(path);
  if (made === undefined) throw invalid(path, 'it vanished');
  return made;
}

async function make(path: string): Promise<void> {
  await makeDirectory(dirname(path));
  const making = `${path}.${process.pid}.${randomBytes(6).toString('hex')}`;
  try {
    const file = await open(making, 'wx', 0o600);
    try {
      await file.writeFile(randomBytes(KEY_BYTES));
      await file.sync();
    } finally {
      await file.close();
    }
    // Unlike rename, link never replaces the key that another process has just made.
    await link(making, path).catch((error: unknown) => {
      if (errnoCode(error) !== 'EEXIST') throw error;
    });
    await syncDirectory(dirname(path));
  } finally {
    await rm(making, { force: true });
  }
}

async function read(path: string): Promise<Buffer | undefined> {
  const info = await stat(path).catch((error: unknown) => {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (info === undefined) return undefined;
  if ((info.mode & 0o077) !== 0) {
    const mode = (info.mode & 0o777).toString(8);
    throw new AppError('KEY_FILE_EXPOSED', `the key file ${path} has mode ${mode}: others may read it`, {
      kind: 'forbidden',
      hint: `chmod 600 ${path}`,
    });
  }
  const file = await open(path, 'r');
  try {
    const key = await file.readFile();
    if (key.length !== KEY_BYTES) throw invalid(path, `it has ${key.length} bytes, not ${KEY_BYTES}`);
    return key;
  } finally {
    await file.close();
  }
}

function invalid(path: string, why: string): AppError {
  return new AppError('KEY_FILE_INVALID', `the key file ${path} is no key: ${why}`, {
    kind: 'internal',
    hint: 'restore it from a backup: what it sealed cannot be opened without it',
  });
}
