/** Registries under load, each behind the same few verbs. */
import { DISTRIBUTION, DistributionServer } from '../peers/distribution.js';
import { WharfServer } from '../peers/wharf.js';
import { hasProgram, type Server } from '../process.js';
import type { Session } from '../session.js';

export interface RegistryPeer {
  readonly name: string;
  start(): Promise<void>;
  stop(): Promise<void>;
  readonly url: string;
  /** For every request; undefined where anyone may do everything. */
  readonly authorization: string | undefined;
  readonly server: Server;
}

export interface PeerKind {
  readonly name: string;
  /** With an empty folder. */
  create(session: Session): Promise<RegistryPeer>;
}

export async function registryPeers(): Promise<{
  readonly kinds: readonly PeerKind[];
  readonly missing: readonly string[];
}> {
  const distribution = (await hasProgram(DISTRIBUTION)) ? [distributionKind] : [];
  const missing = distribution.length === 0 ? ['CNCF distribution (Debian package docker-registry)'] : [];
  return { kinds: [wharfKind, ...distribution], missing: [...missing, 'zot (not packaged by Debian)'] };
}

const wharfKind: PeerKind = {
  name: 'wharf',
  async create(session) {
    const wharf = await WharfServer.create(session);
    return {
      name: 'wharf',
      start: () => wharf.start(),
      stop: () => wharf.stop(),
      get url() {
        return wharf.address.url;
      },
      // As zb does; every request is verified. The peer lets everyone in, since its Basic check is bcrypt each time.
      get authorization() {
        return `Basic ${Buffer.from(`bench:${wharf.address.token}`).toString('base64')}`;
      },
      get server() {
        return wharf.server;
      },
    };
  },
};

const distributionKind: PeerKind = {
  name: 'distribution',
  async create(session) {
    const distribution = await DistributionServer.create(session);
    return {
      name: 'distribution',
      start: () => distribution.start(),
      stop: () => distribution.stop(),
      url: distribution.url,
      authorization: undefined,
      get server() {
        return distribution.server;
      },
    };
  },
};
