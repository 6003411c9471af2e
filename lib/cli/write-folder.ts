/**
 * The files of a tar into a folder: what `wharf build -o folder` gives. They belong to whoever runs it; devices, sockets
 * and named pipes are left out. A name that would leave the folder, by itself or through a link that lies there, is an
 * error before anything is written in its place.
 */
import { createWriteStream } from 'node:fs';
import { chmod, link, lstat, lutimes, mkdir, rm, symlink, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { AppError, errnoCode } from '../errors/index.js';
import { type LayerEntry, readTar } from '../layers/index.js';
import type { ByteSource } from '../store/index.js';

/** @returns how many entries were left out */
export async function writeFolder(tar: ByteSource, folder: string): Promise<number> {
  await mkdir(folder, { recursive: true });
  const folders: LayerEntry[] = [];
  let skipped = 0;
  for await (const { entry, body } of readTar(tar, { mode: 'strict' })) {
    const path = join(folder, entry.path);
    if (!['file', 'directory', 'symlink', 'hardlink'].includes(entry.type)) {
      skipped += 1;
      continue;
    }
    await checkParents(folder, entry.path);
    if (entry.type === 'directory') {
      await makeFolder(path, entry.path);
      folders.push(entry);
      continue;
    }
    await makeRoom(path, entry.path);
    await write(folder, path, entry, body);
  }
  // Modes and times of folders last, the deepest first: a folder may not be writable, and writing into it dates it.
  for (const entry of folders.reverse()) {
    const path = join(folder, entry.path);
    await chmod(path, entry.mode & 0o1777);
    await utimes(path, entry.mtimeSeconds, entry.mtimeSeconds);
  }
  return skipped;
}

async function write(folder: string, path: string, entry: LayerEntry, body: AsyncIterable<Uint8Array>): Promise<void> {
  const { linkTarget = '', mode, mtimeSeconds } = entry;
  if (entry.type === 'symlink') {
    await symlink(linkTarget, path);
    return lutimes(path, mtimeSeconds, mtimeSeconds);
  }
  if (entry.type === 'hardlink') {
    await checkParents(folder, linkTarget);
    return link(join(folder, linkTarget), path);
  }
  await pipeline(body, createWriteStream(path, { flags: 'wx', mode: 0o600 }));
  await chmod(path, mode & 0o1777);
  await utimes(path, mtimeSeconds, mtimeSeconds);
}

/** Every folder on the way is one, and no link to elsewhere. */
async function checkParents(folder: string, name: string): Promise<void> {
  const parent = dirname(name);
  if (parent === '.') return;
  let path = folder;
  for (const part of parent.split('/')) {
    path = join(path, part);
    if (!(await lstat(path)).isDirectory()) throw inTheWay(path, name);
  }
}

async function makeFolder(path: string, name: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    if (errnoCode(error) !== 'EEXIST' || !(await lstat(path)).isDirectory()) throw inTheWay(path, name);
  }
  // Until everything is written it must be open to us.
  await chmod(path, 0o700);
}

async function makeRoom(path: string, name: string): Promise<void> {
  try {
    await rm(path, { force: true });
  } catch {
    throw inTheWay(path, name);
  }
}

function inTheWay(path: string, name: string): AppError {
  return new AppError('OUTPUT_IN_THE_WAY', `${name} cannot be written: ${path} is in its way`, {
    kind: 'conflict',
    hint: 'name an empty folder',
  });
}
