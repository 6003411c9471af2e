/** WORKDIR: makes the folder and those on the way to it, 0755, owned by the active user. One that exists stays as it is. */
import { AppError } from '../../errors/index.js';
import type { ImageTree } from '../../layers/index.js';
import { type Change, ChangedTree } from './changed-tree.js';
import { findOwner, ROOT } from './owners.js';
import type { WorkdirOp } from '../plan/steps.js';

/** @param timeSeconds of the folders that are made */
export async function workdirChanges(
  op: WorkdirOp,
  target: ImageTree,
  timeSeconds: number,
  warn: (message: string) => void,
): Promise<Iterable<Change>> {
  const tree = new ChangedTree(target);
  const owner = op.user === '' ? {} : { owner: await workdirOwner(op, target, warn) };
  tree.makeFolders(op.path, { mode: 0o755, ...owner, mtimeSeconds: timeSeconds });
  return tree.changeset();
}

/** A user that is made only later in the file is not an error for docker: the folder is root's. */
async function workdirOwner(
  op: WorkdirOp,
  target: ImageTree,
  warn: (message: string) => void,
): Promise<{ uid: number; gid: number }> {
  try {
    return await findOwner(target, op.user);
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'BUILD_OWNER_UNKNOWN') throw error;
    warn(`WORKDIR ${op.path} is made for root: ${error.message}`);
    return ROOT;
  }
}
