/**
 * An ssh agent for one RUN: OpenSSH's own, outside of the sandbox, holding keys in its memory. Only its socket goes in.
 * It has no rights of root and may load no library (CVE-2023-38408); it dies with this process, however that ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, startedProcess } from '../../errors/index.js';

export interface SshAgentInput {
  /** A folder that goes away with the run, on a memory-backed file system; must not exist. */
  readonly directory: string;
  readonly keys: readonly Uint8Array[];
  /** Of the socket. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface SshAgent {
  readonly socket: string;
  readonly stop: () => Promise<void>;
}

/** The agent answers root and its own user only, so it runs as the socket's owner; for root's socket as nobody. */
const NOBODY = 65_534;
/** Relative to the folder: its user may not walk there from the root, and a socket's path is short (107 bytes). */
const SOCKET = 'agent';

/** @throws AppError BUILD_SSH_UNAVAILABLE, BUILD_SSH_KEY_INVALID */
export async function startSshAgent(input: SshAgentInput): Promise<SshAgent> {
  const { directory, keys, mode, uid, gid } = input;
  const [user, group] = uid === 0 ? [NOBODY, NOBODY] : [uid, gid];
  await mkdir(directory, { mode: 0o700 });
  await chown(directory, user, group);
  const socket = join(directory, SOCKET);
  // Without new privileges the program's set-group-id bit, which would undo the death signal, does nothing.
  const rights = [`--reuid=${user}`, `--regid=${group}`, '--clear-groups', '--no-new-privs', '--pdeathsig=KILL'];
  const command = ['ssh-agent', '-D', '-P', '/nothing', '-a', SOCKET];
  const child = startedProcess(
    spawn('setpriv', [...rights, '--', ...command], {
      cwd: directory,
      env: ENV,
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  );
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  try {
    await listening(child);
    for (const key of keys) await addKey(directory, key);
    await chown(socket, uid, gid);
    await chmod(socket, mode);
    return { socket, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const ENV = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', SSH_ASKPASS_REQUIRE: 'never' };

/** It names its socket once it listens there. */
async function listening(child: ChildProcess): Promise<void> {
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await new Promise<void>((resolve, reject) => {
    const failed = (problem: string): void => reject(unavailable(problem));
    child.stdout?.once('data', () => resolve());
    child.once('error', ({ message }) => failed(message));
    child.once('close', () => failed(said.trim() || 'it ended at once'));
  });
}

async function addKey(directory: string, key: Uint8Array): Promise<void> {
  // In a session of its own it has no terminal at which it could ask for a passphrase.
  const child = startedProcess(
    spawn('ssh-add', ['-q', '-'], {
      cwd: directory,
      env: { ...ENV, SSH_AUTH_SOCK: SOCKET },
      stdio: ['pipe', 'ignore', 'pipe'],
      detached: true,
    }),
  );
  child.stdin.on('error', () => undefined);
  child.stdin.end(Buffer.concat([key, Buffer.from('\n')]));
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.once('error', ({ message }) => reject(unavailable(message)));
    child.once('close', resolve);
  });
  if (exitCode === 0) return;
  throw new AppError('BUILD_SSH_KEY_INVALID', `ssh-add does not take a key: ${said.trim()}`, {
    hint: 'an unencrypted private key that ssh-add - takes',
  });
}

function unavailable(problem: string): AppError {
  return new AppError('BUILD_SSH_UNAVAILABLE', `no ssh agent could be started: ${problem}`, {
    kind: 'unavailable',
    hint: 'ssh-agent and ssh-add (Debian: openssh-client) and setpriv on the machine that builds',
  });
}
