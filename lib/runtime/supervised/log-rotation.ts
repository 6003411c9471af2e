/**
 * Keeps a container's log within its limits while the container runs: a full file is put away and the supervisor told to
 * begin another, which loses nothing. The supervisor's own way, beginning the file anew, loses all that was in it; it is
 * left for what outgrows us, or grows while nobody looks.
 */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoCode } from '../../errors/index.js';
import type { Clock } from '../../store/index.js';
import { scopePaths } from '../host/host-scope.js';
import { fileFacts, putAway, removeOldest } from './log-files.js';
import type { HostScope } from '../types.js';

export interface LogLimits {
  /** Of all files together; more only by what is written between two looks. */
  readonly bytes: number;
  /** At least two. */
  readonly files: number;
}

export const DEFAULT_LOG_LIMITS: LogLimits = { bytes: 64 * 1024 * 1024, files: 4 };

const LOOK_MS = 1000;
/** conmon's words for: open the log again. */
const REOPEN = '2 0 0\n';

export async function rotateLog(
  { scope, clock }: { readonly scope: HostScope; readonly clock: Clock },
  id: string,
  limits: LogLimits,
  signal: AbortSignal,
): Promise<void> {
  const log = scopePaths.log(scope, id);
  const control = join(scopePaths.supervisedBundle(scope, id), 'ctl');
  const most = limits.bytes / limits.files;
  let inode: number | undefined;
  while (!signal.aborted) {
    const now = await fileFacts(log);
    // Begun anew by the supervisor: what was put away does not lead up to it any more.
    if (now !== undefined && inode !== undefined && now.inode !== inode)
      await removeOldest(log, { files: 0, bytes: 0 });
    if (now !== undefined) inode = now.inode;
    if (now !== undefined && now.size >= most) {
      await putAway(log);
      await removeOldest(log, { files: limits.files - 1, bytes: limits.bytes - most });
    }
    // Also where we were killed between the two, and the supervisor still writes to the file that was put away.
    if (now === undefined || now.size >= most) {
      inode = undefined;
      await tell(control);
    }
    await clock.sleep(LOOK_MS, signal).catch(() => undefined);
  }
}

/** Without a reader, and where there is no such pipe, the supervisor is gone or has not come: nothing is to be told. */
async function tell(control: string): Promise<void> {
  try {
    const pipe = await open(control, constants.O_WRONLY | constants.O_NONBLOCK);
    try {
      await pipe.write(REOPEN);
    } finally {
      await pipe.close();
    }
  } catch (error) {
    if (!['ENOENT', 'ENXIO', 'EPIPE'].includes(errnoCode(error) ?? '')) throw error;
  }
}
