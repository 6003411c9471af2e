/**
 * A network that leads nowhere: a namespace with a loopback of its own, and sockets that this process listens on in it. A
 * thread cannot change its namespace here, so a process of our own program goes in, opens the socket, hands it over
 * and is gone.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { Server } from 'node:net';
import { AppError, startedProcess } from '../../errors/index.js';
import { HOST_PATH, mustRun } from '../host/host-command.js';
import { netnsName, scopePaths } from '../host/host-scope.js';
import type { HostScope } from '../types.js';

/** @returns the path of the namespace */
export async function makeClosedNetwork(scope: HostScope, id: string): Promise<string> {
  const netns = netnsName(scope, id);
  await mustRun('ip', ['netns', 'add', netns]);
  await mustRun('ip', ['-n', netns, 'link', 'set', 'lo', 'up']);
  return scopePaths.netns(scope, id);
}

/** Fine when there is none. */
export async function removeClosedNetwork(scope: HostScope, id: string): Promise<void> {
  if (existsSync(scopePaths.netns(scope, id))) await mustRun('ip', ['netns', 'delete', netnsName(scope, id)]);
}

export interface ListeningServer {
  readonly server: Server;
  readonly port: number;
}

/** The socket is open in the namespace and belongs to nobody but this process. */
const LISTEN = `
  const server = require('node:net').createServer();
  server.listen(0, '127.0.0.1', () => process.send(server.address().port, server, () => process.exit(0)));
`;

/** Listens on 127.0.0.1 of a namespace. @throws AppError NETWORK_LISTEN_FAILED */
export async function listenInNamespace(path: string): Promise<ListeningServer> {
  const child = startedProcess(
    spawn('nsenter', [`--net=${path}`, process.execPath, '-e', LISTEN], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: { PATH: HOST_PATH },
    }),
  );
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  try {
    return await new Promise<ListeningServer>((resolve, reject) => {
      const failed = (why: string): void => reject(listenFailed(why));
      child.once('message', (port, handle) => {
        if (handle instanceof Server) resolve({ server: handle, port: Number(port) });
        else failed('no socket came');
      });
      child.once('error', ({ message }) => failed(message));
      child.once('close', () => failed(said.trim() || 'it ended at once'));
    });
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
}

function listenFailed(why: string): AppError {
  return new AppError('NETWORK_LISTEN_FAILED', `nothing could listen in the network of a container: ${why}`, {
    kind: 'failed',
    hint: 'nsenter on this machine (Debian: util-linux)',
  });
}
