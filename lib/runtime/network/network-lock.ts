/**
 * The lock that every platform of the host takes before it changes packet rules, held by a small process of its own:
 * when we die, it goes with us.
 */
import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AppError, startedProcess } from '../../errors/index.js';
import { HOST_PATH } from '../host/host-command.js';

export const NETWORK_LOCK = '/run/wharf/network.lock';
export const LOCK_SECONDS = '60';

/** Does the work while nobody else on the host changes packet rules. Not to be nested. @throws AppError NETWORK_BUSY */
export async function withNetworkLock<T>(work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(NETWORK_LOCK), { recursive: true });
  const holder = startedProcess(
    spawn('flock', ['-w', LOCK_SECONDS, NETWORK_LOCK, 'sh', '-c', 'echo held; cat'], {
      env: { PATH: HOST_PATH },
      stdio: ['pipe', 'pipe', 'ignore'],
    }),
  );
  const ended = new Promise<void>((resolve) => {
    holder.once('error', () => resolve());
    holder.once('close', () => resolve());
  });
  try {
    const held = await Promise.race([
      new Promise<boolean>((resolve) => holder.stdout.once('data', () => resolve(true))),
      ended.then(() => false),
    ]);
    if (held) return await work();
    throw new AppError('NETWORK_BUSY', `no turn at the host's network within ${LOCK_SECONDS} s`, {
      kind: 'unavailable',
      hint: `see who holds ${NETWORK_LOCK}`,
    });
  } finally {
    holder.stdin.end();
    await ended;
  }
}
