/** An ssh server on loopback that hands out git repositories to one key, and knows nobody else. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../free-port.js';

export interface SshServer {
  readonly port: number;
  /** A line for known_hosts. */
  readonly knownHost: string;
  /** What it said of those who came. */
  readonly log: () => string;
  close(): Promise<void>;
}

/**
 * root logs in with the key. The server has a root folder of its own for its keys: that of this machine is not touched.
 * @param key in PEM or OpenSSH form
 */
export async function startSshServer(key: Buffer): Promise<SshServer> {
  const folder = await mkdtemp(join(tmpdir(), 'wharf-sshd-'));
  const hostKey = join(folder, 'host-key');
  execFileSync('dropbearkey', ['-t', 'ed25519', '-f', hostKey], { stdio: 'ignore' });
  const shown = execFileSync('dropbearkey', ['-y', '-f', hostKey], { encoding: 'utf8' });
  const clientKey = join(folder, 'client-key');
  await writeFile(clientKey, key, { mode: 0o600 });
  const authorized = execFileSync('ssh-keygen', ['-y', '-f', clientKey], { encoding: 'utf8' });
  await rm(clientKey);
  const port = await freePort();
  const script = `mount -t tmpfs -o mode=700 tmpfs /root && mkdir -m 700 /root/.ssh &&
printf '%s' "$AUTHORIZED" > /root/.ssh/authorized_keys && chmod 600 /root/.ssh/authorized_keys &&
exec dropbear -F -E -s -r "$HOST_KEY" -p "127.0.0.1:$PORT" -P "$PID_FILE"`;
  const child = spawn('unshare', ['--mount', '--kill-child', 'sh', '-c', script], {
    env: {
      PATH: process.env['PATH'] ?? '',
      AUTHORIZED: authorized,
      HOST_KEY: hostKey,
      PORT: String(port),
      PID_FILE: join(folder, 'pid'),
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await until(
    () => answers(port),
    () => `the ssh server does not come up: ${log}`,
  );
  return {
    port,
    knownHost: `[127.0.0.1]:${port} ${/^ssh-ed25519 \S+/m.exec(shown)?.[0] ?? ''}\n`,
    log: () => log,
    close: async () => {
      child.kill('SIGKILL');
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('data', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

async function until(done: () => Promise<boolean>, problem: () => string): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    if (await done()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(problem());
}
