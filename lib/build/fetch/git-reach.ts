/**
 * The way to a repository before git is started: where it is, at which address that was checked, with which of the
 * build's credentials.
 */
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import { AppError } from '../../errors/index.js';
import { sshKeysOf } from '../build-ssh.js';
import type { EgressGuard } from './egress-guard.js';
import { sshAddress } from './git-address.js';
import { type GitTransport, overHttp, overSsh, sshKeysMissing } from './git-transport.js';
import { type GuardedFetch, shown } from './guarded-fetch.js';
import { authorization, type RemoteCall } from './remote-files.js';

export interface ReachDeps {
  readonly fetch: GuardedFetch;
  readonly guard: EgressGuard;
}

export interface RepositoryCall extends RemoteCall {
  /** Of the repository that was named; another one may be in it. */
  readonly host: string;
}

/** With a folder for what ssh needs, which goes away with the fetch. */
type ReachCall = RepositoryCall & { readonly folder: string };

export interface ReachedRepository {
  readonly transport: GitTransport;
  /** Where redirects led. */
  readonly url: string;
  /** Ends what ssh had. */
  readonly close: () => Promise<void>;
}

/** Whose keys git gets, and the secret with lines of known_hosts. */
const DEFAULT_AGENT = 'default';
const KNOWN_HOSTS = 'SSH_KNOWN_HOSTS';

/** @throws AppError BUILD_SSH_MISSING, BUILD_EGRESS_REFUSED, BUILD_REMOTE_… */
export async function reachRepository(deps: ReachDeps, url: string, call: ReachCall): Promise<ReachedRepository> {
  const ssh = sshAddress(url);
  if (ssh === undefined) return reachByHttp(deps, url, call);
  const keys = sshKeysOf(call.secrets, DEFAULT_AGENT);
  if (keys.length === 0) throw sshKeysMissing(url);
  const host = isIPv6(ssh.host) ? `[${ssh.host}]` : ssh.host;
  const address = await deps.guard.check(new URL(`ssh://${host}:${ssh.port}`));
  const knownHosts = call.secrets.get(KNOWN_HOSTS);
  const credentials = { keys, ...(knownHosts === undefined ? {} : { knownHosts }) };
  const transport = await overSsh(ssh, address, credentials, join(call.folder, 'ssh'));
  return { transport, url, close: () => transport.close() };
}

/**
 * Asks for the list of references ourselves, following redirects under guard: git then goes to where they led, at
 * the address that was checked.
 */
async function reachByHttp({ fetch }: ReachDeps, address: string, call: RepositoryCall): Promise<ReachedRepository> {
  const service = '/info/refs?service=git-upload-pack';
  const { host } = new URL(address);
  const secrets = { header: 'GIT_AUTH_HEADER', token: 'GIT_AUTH_TOKEN' };
  const wrap = (token: string): string => `basic ${Buffer.from(`x-access-token:${token}`).toString('base64')}`;
  const own = { header: `${secrets.header}.${host}`, token: `${secrets.token}.${host}` };
  // A secret for no host in particular is for the one that the Dockerfile names, not for those a repository names.
  const common = host === call.host ? authorization(call.secrets, secrets, wrap) : undefined;
  const credentials = authorization(call.secrets, own, wrap) ?? common;
  const headers = credentials === undefined ? {} : { authorization: credentials };
  const response = await fetch.get(new URL(address + service), headers, call.signal);
  response.drop();
  const said = response.header('content-type') ?? 'nothing';
  if (response.status !== 200 || !said.startsWith('application/x-git-upload-pack-advertisement')) {
    const what = response.status === 200 ? `answered with ${said}` : `answered with status ${response.status}`;
    throw new AppError('BUILD_REMOTE_REFUSED', `${shown(new URL(address))} is no git repository: it ${what}`, {
      kind: 'failed',
      hint: 'the https address of a repository; for a private one a secret GIT_AUTH_TOKEN',
    });
  }
  const url = new URL(response.url);
  url.search = '';
  url.pathname = url.pathname.replace(/\/info\/refs$/, '');
  const transport = overHttp(url, response.address, url.host === host ? credentials : undefined);
  return { transport, url: url.href, close: () => Promise.resolve() };
}
