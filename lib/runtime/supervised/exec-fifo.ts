/**
 * Where a container that runc has made waits for its start: a pipe with a name in runc's folder of it, into which the
 * container's first process writes as soon as somebody opens it to read. `runc start` reads it and takes it away, and
 * nothing else; a shell that is there anyway does it in a tenth of the time. It is a process of its own as runc is: when we
 * are killed meanwhile it goes on, and the first process never finds its pipe broken.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoCode } from '../../errors/index.js';
import type { Clock } from '../../store/index.js';
import { runCommand } from '../host/host-command.js';
import { checkContainerId, scopePaths } from '../host/host-scope.js';
import type { HostScope } from '../types.js';
import { containerInit } from './container-init.js';

/** How often it is looked whether the container still waits; as runc does. */
const LOOK_MS = 100;

/** Answers false when the container does not wait for its start, or ended before it: runc says what is the matter. */
export async function startByFifo({ scope, clock }: { scope: HostScope; clock: Clock }, id: string): Promise<boolean> {
  if ((await containerInit(scope, id))?.waits !== true) return false;
  const path = fifoOf(scope, id);
  const done = new AbortController();
  const noLonger = new AbortController();
  // Words of the shell itself: no program is started for them.
  const read = runCommand('eval', [`read -r said <'${path}'; printf %s "$said"`], { signal: noLonger.signal }).finally(
    () => done.abort(),
  );
  const looking = (async () => {
    while (!done.signal.aborted) {
      await clock.sleep(LOOK_MS, done.signal).catch(() => undefined);
      // It ended, or whoever was killed before us had begun to start it.
      if (!done.signal.aborted && (await containerInit(scope, id))?.waits !== true) noLonger.abort();
    }
  })();
  const [{ stdout }] = await Promise.all([read, looking]);
  const init = stdout === '' ? await containerInit(scope, id) : undefined;
  if (stdout === '' && (init?.lives !== true || init.waits)) return false;
  await rm(path, { force: true });
  return true;
}

/** A reader that nobody will write to any more, its container having ended while we were away, comes to its end. */
export function endReaders(scope: HostScope, id: string): void {
  try {
    closeSync(openSync(fifoOf(scope, id), constants.O_WRONLY | constants.O_NONBLOCK));
  } catch (error) {
    if (!['ENOENT', 'ENXIO'].includes(errnoCode(error) ?? '')) throw error;
  }
}

function fifoOf(scope: HostScope, id: string): string {
  return join(scopePaths.runtimeRoot(scope, 'runc'), checkContainerId(id), 'exec.fifo');
}
