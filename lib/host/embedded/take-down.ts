/**
 * Ends what a platform that does not run has left running on this machine: containers of tasks, which outlive it on
 * purpose, and what they stand on. The data folder stays as it is, so its services start their tasks again at the next
 * start. It may also be gone already.
 */
import { access } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { AppError } from '../../errors/index.js';
import { removeTaskFolders } from '../../engine/agent/index.js';
import { findHostScope, SupervisedContainers, sweepHost } from '../../runtime/index.js';
import type { Clock } from '../../store/index.js';
import { DataFolder } from './data-folder.js';

export interface TakenDown {
  /** Containers that were there, also those that had ended. */
  readonly containers: number;
}

/** @throws AppError DATA_FOLDER_IN_USE, PLATFORM_NOT_FOUND */
export async function takeDown(data: string, clock: Clock): Promise<TakenDown> {
  const directory = resolve(data);
  const isThere = await access(directory).then(
    () => true,
    () => false,
  );
  // Opened first: one that runs is refused.
  const folder = isThere ? await DataFolder.open(directory) : undefined;
  try {
    const scope = await findHostScope(join(directory, 'runtime'));
    if (scope === undefined) throw nothingOf(directory);
    const containers = (await new SupervisedContainers({ scope, clock }).list()).length;
    await sweepHost({ scope, clock }, new Set());
    // It may be what fills the disk, so that no platform could start and remove it.
    await removeTaskFolders(scope);
    return { containers };
  } finally {
    await folder?.release();
  }
}

function nothingOf(directory: string): AppError {
  return new AppError('PLATFORM_NOT_FOUND', `no platform on ${directory} has anything on this machine`, {
    kind: 'not-found',
    hint: 'name its data folder with --data, also when that was deleted',
  });
}
