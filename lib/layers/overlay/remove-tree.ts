/**
 * Removes a folder of any size. Node's `rm` begins with everything of a tree at once, a kilobyte of memory for each file, and fails on
 * paths of more than 4,096 bytes, which a RUN can make; the program goes folder by folder, and stays out of mounts.
 */
import { spawn } from 'node:child_process';
import { rmdir } from 'node:fs/promises';
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
