/**
 * Removes a folder of any size. Node's `rm` begins with everything of a tree at once, a kilobyte of memory for each file, and fails on
 * paths of more than 4,096 bytes, which a RUN can make; the program goes folder by folder, and stays out of mounts. Where
 * there is little to remove, Node has done it before the program has begun.
 */
import { spawn } from 'node:child_process';
import { lstat, opendir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, errnoCode } from '../../errors/index.js';

/** Nothing happens when it is not there. @throws AppError REMOVE_FAILED with what rm said */
export async function removeTree(path: string): Promise<void> {
  try {
    await rmdir(path);
    return;
  } catch (error) {
    const code = errnoCode(error);
    if (code === 'ENOENT') return;
    if (code !== 'ENOTEMPTY' && code !== 'ENOTDIR') throw error;
  }
  try {
    if (await isSmall(path)) return await rm(path, { recursive: true, force: true });
  } catch {
    // The program says what is wrong, or gets through.
  }
  await removeByProgram(path);
}

/** What most containers leave: some folders of the runtime's, and a file or two. */
const FEW = 64;

/** Whether so few entries are in it, and nothing that is mounted there. */
async function isSmall(path: string): Promise<boolean> {
  const { dev } = await lstat(path);
  const pending = [path];
  let entries = 0;
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    for await (const entry of await opendir(folder)) {
      entries += 1;
      if (entries > FEW) return false;
      if (!entry.isDirectory()) continue;
      const below = join(folder, entry.name);
      if ((await lstat(below)).dev !== dev) return false;
      pending.push(below);
    }
  }
  return true;
}

async function removeByProgram(path: string): Promise<void> {
  const child = spawn('rm', ['-rf', '--one-file-system', '--', path], { stdio: ['ignore', 'ignore', 'pipe'] });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(0, 2000)));
  const status = await new Promise<number | null>((resolve, reject) =>
    child.once('error', reject).once('close', resolve),
  );
  if (status === 0) return;
  throw new AppError('REMOVE_FAILED', `rm ended with status ${status}: ${complaint.trim()}`, {
    kind: 'internal',
    details: { path },
  });
}
