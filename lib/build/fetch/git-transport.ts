/**
 * The ways git may reach a repository: over http and https, or over ssh, each to the address that was checked and with
 * the build's own credentials. What git is told of it is settings and an environment, nothing of the machine's.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../errors/index.js';
import { startSshAgent } from '../sandbox/ssh-agent.js';
import type { CheckedAddress } from './egress-guard.js';
import type { SshAddress } from './git-address.js';

export interface GitTransport {
  /** As GIT_ALLOW_PROTOCOL has them. */
  readonly protocols: string;
  readonly config: readonly (readonly [name: string, value: string])[];
  readonly environment: Readonly<Record<string, string>>;
}

/** @param authorization value of the Authorization header */
export function overHttp(remote: URL, address: CheckedAddress, authorization?: string): GitTransport {
  const port = remote.port === '' ? (remote.protocol === 'https:' ? '443' : '80') : remote.port;
  const host = remote.hostname.replace(/^\[|\]$/g, '');
  const at = address.family === 6 ? `[${address.address}]` : address.address;
  return {
    protocols: 'http:https',
    config: [
      ['http.followRedirects', 'false'],
      ['http.curloptResolve', `${host}:${port}:${at}`],
      ['http.lowSpeedLimit', '1'],
      ['http.lowSpeedTime', '60'],
      ...(authorization === undefined ? [] : [['http.extraHeader', `Authorization: ${authorization}`] as const]),
    ],
    environment: {},
  };
}

export interface SshCredentials {
  /** Private keys: those of `--ssh default`. */
  readonly keys: readonly Uint8Array[];
  /** Lines of known_hosts. Without them a host's key is taken as it comes, as BuildKit does. */
  readonly knownHosts?: Uint8Array;
}

/**
 * Keys are in an agent until `close`, and what ssh reads in a folder that is made here and is the caller's.
 * @throws AppError BUILD_SSH_UNAVAILABLE, BUILD_SSH_KEY_INVALID
 */
export async function overSsh(
  { host, port }: SshAddress,
  { address }: CheckedAddress,
  { keys, knownHosts }: SshCredentials,
  folder: string,
): Promise<GitTransport & { close(): Promise<void> }> {
  await mkdir(folder, { mode: 0o711 });
  const known = join(folder, 'known_hosts');
  await writeFile(known, knownHosts ?? '', { mode: 0o600 });
  const agent = await startSshAgent({ directory: join(folder, 'agent'), keys, mode: 0o600, uid: 0, gid: 0 });
  const config = join(folder, 'config');
  const lines = [
    ['User', 'git'],
    ['HostName', address],
    // As known_hosts has it.
    ['HostKeyAlias', port === 22 ? host : `[${host}]:${port}`],
    ['UserKnownHostsFile', `"${known}"`],
    ['GlobalKnownHostsFile', '/dev/null'],
    ['StrictHostKeyChecking', knownHosts === undefined ? 'accept-new' : 'yes'],
    ['IdentityAgent', `"${agent.socket}"`],
    ['ConnectTimeout', '30'],
    ...ALWAYS,
  ];
  try {
    await writeFile(config, `${lines.map(([name, value]) => `${name} ${value}`).join('\n')}\n`, { mode: 0o600 });
  } catch (error) {
    await agent.stop();
    throw error;
  }
  return {
    protocols: 'ssh',
    config: [],
    environment: { GIT_SSH_COMMAND: `ssh -F '${config}'`, GIT_SSH_VARIANT: 'ssh' },
    close: () => agent.stop(),
  };
}

/** Nothing of the machine's user, no way back, nobody to be asked. */
const ALWAYS: readonly (readonly [string, string])[] = [
  ['IdentityFile', 'none'],
  ['PreferredAuthentications', 'publickey'],
  ['BatchMode', 'yes'],
  ['CheckHostIP', 'no'],
  ['UpdateHostKeys', 'no'],
  ['ClearAllForwardings', 'yes'],
  ['ForwardAgent', 'no'],
  ['PermitLocalCommand', 'no'],
  ['ProxyCommand', 'none'],
  ['ControlPath', 'none'],
  ['ServerAliveInterval', '20'],
  ['LogLevel', 'ERROR'],
];

export function sshKeysMissing(url: string): AppError {
  return new AppError('BUILD_SSH_MISSING', `${url} is asked for over ssh, and the build has no key`, {
    kind: 'invalid',
    hint: 'wharf build --ssh default=<private key file>; or the https address of the repository',
    details: { ssh: 'default', word: url },
  });
}
