/**
 * A lock among all processes of this machine, held by a small process of its own (flock): when we die, its input ends
 * and it goes with us, so no lock is ever left behind.
 */
import { spawn } from 'node:child_process';
import { startedProcess } from '../../errors/index.js';
import { HOST_PATH } from '../../runtime/index.js';

/**
 * @param wait whether to wait for the lock; without it undefined comes back when somebody else has it
 * @returns lets go of the lock
 * @throws the signal's reason while waiting
 */
export async function takeFileLock(
  path: string,
  wait: boolean,
  signal: AbortSignal,
): Promise<(() => Promise<void>) | undefined> {
  signal.throwIfAborted();
  const holder = startedProcess(
    spawn('flock', [...(wait ? [] : ['-n']), path, 'sh', '-c', 'echo held; exec cat >/dev/null'], {
      env: { PATH: HOST_PATH },
      stdio: ['pipe', 'pipe', 'ignore'],
    }),
  );
  holder.stdin.on('error', () => undefined);
  const ended = new Promise<void>((resolve) => {
    holder.once('error', () => resolve());
    holder.once('close', () => resolve());
  });
  // flock itself waits for the lock; the command it starts ends with its input.
  const stop = (): void => void holder.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  const held = await Promise.race([
    new Promise<boolean>((resolve) => holder.stdout.once('data', () => resolve(true))),
    ended.then(() => false),
  ]);
  signal.removeEventListener('abort', stop);
  const release = async (): Promise<void> => {
    holder.stdin.end();
    await ended;
  };
  if (held && !signal.aborted) return release;
  holder.stdin.end();
  await ended;
  signal.throwIfAborted();
  return undefined;
}
