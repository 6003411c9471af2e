/**
 * The address range of a platform's bridge: chosen once, free of what the host routes and of what other platforms on
 * the host have taken, and kept from then on.
 */
import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, errnoCode } from '../../errors/index.js';
import { mustRun } from '../host/host-command.js';
import { withNetworkLock } from './network-lock.js';
import type { HostScope } from '../types.js';

export interface Subnet {
  /** For instance `10.201.4.0/22`. */
  readonly cidr: string;
  /** Its first address, which the bridge has. */
  readonly gateway: string;
}

/** 10.192.0.0/10 in pieces of 1,022 addresses. */
const POOL_START = (10 << 24) + (192 << 16);
const PREFIX = 22;
const PIECE = 2 ** (32 - PREFIX);
const PIECES = 2 ** (PREFIX - 10);

/** Where platforms of this host tell one another what they have taken; empty after a reboot, like the bridges. */
export const CLAIMS = '/run/wharf/subnets';

/** Start and end of an IPv4 range, both inclusive; undefined for anything else. */
export function ipv4Range(text: string): { readonly first: number; readonly last: number } | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\/(\d{1,2}))?$/.exec(text);
  if (match === null) return undefined;
  const octets = match.slice(1, 5).map(Number);
  const prefix = match[5] === undefined ? 32 : Number(match[5]);
  if (octets.some((octet) => octet > 255) || prefix > 32) return undefined;
  const address = octets.reduce((sum, octet) => sum * 256 + octet, 0);
  const size = 2 ** (32 - prefix);
  const first = Math.floor(address / size) * size;
  return { first, last: first + size - 1 };
}

export function ipv4Text(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
}

/** The pieces of the pool in this platform's order of preference: different platforms begin at different places. */
export function subnetCandidates(scopeId: string): Iterable<Subnet> {
  const start = parseInt(scopeId, 16) % PIECES;
  return {
    *[Symbol.iterator]() {
      for (let i = 0; i < PIECES; i += 1) {
        const first = POOL_START + ((start + i) % PIECES) * PIECE;
        yield { cidr: `${ipv4Text(first)}/${PREFIX}`, gateway: ipv4Text(first + 1) };
      }
    },
  };
}

export function overlaps(a: string, b: string): boolean {
  const left = ipv4Range(a);
  const right = ipv4Range(b);
  return left !== undefined && right !== undefined && left.first <= right.last && right.first <= left.last;
}

/**
 * Takes a subnet for this platform.
 * @param kept the one it had before, taken again when nobody else uses it
 * @param bridge whose own routes do not count
 */
export async function claimSubnet(scope: HostScope, bridge: string, kept?: Subnet): Promise<Subnet> {
  await mkdir(CLAIMS, { recursive: true, mode: 0o755 });
  const used = [...(await routedRanges(bridge)), ...(await resolverAddresses())];
  const candidates = kept === undefined ? subnetCandidates(scope.id) : [kept, ...subnetCandidates(scope.id)];
  const claimed = await withNetworkLock(async () => {
    for (const subnet of candidates) {
      if (used.some((range) => overlaps(range, subnet.cidr))) continue;
      if (await claim(scope, subnet)) return subnet;
    }
    return undefined;
  });
  if (claimed !== undefined) return claimed;
  throw new AppError('NETWORK_FULL', 'no free range for the container network in 10.192.0.0/10', {
    kind: 'unavailable',
    hint: `stop platforms that are not needed; their claims lie in ${CLAIMS}`,
  });
}

export async function releaseSubnet(scope: HostScope, subnet: Subnet): Promise<void> {
  if ((await claimant(subnet)) === scope.directory) await rm(claimFile(subnet), { force: true });
}

async function claim(scope: HostScope, subnet: Subnet): Promise<boolean> {
  try {
    await writeFile(claimFile(subnet), scope.directory, { flag: 'wx' });
    return true;
  } catch (error) {
    if (errnoCode(error) !== 'EEXIST') throw error;
  }
  const holder = await claimant(subnet);
  if (holder === scope.directory) return true;
  // A platform whose folder was deleted takes its claim to the grave.
  const alive = await access(holder ?? '').then(
    () => true,
    () => false,
  );
  if (!alive) await writeFile(claimFile(subnet), scope.directory);
  return !alive;
}

async function claimant(subnet: Subnet): Promise<string | undefined> {
  return readFile(claimFile(subnet), 'utf8').catch(() => undefined);
}

function claimFile(subnet: Subnet): string {
  return join(CLAIMS, subnet.cidr.replace('/', '_'));
}

async function routedRanges(bridge: string): Promise<readonly string[]> {
  const { stdout } = await mustRun('ip', ['-j', '-4', 'route', 'show', 'table', 'all']);
  const routes = JSON.parse(stdout === '' ? '[]' : stdout) as readonly { dst?: string; dev?: string }[];
  return routes.filter(({ dev }) => dev !== bridge).map(({ dst }) => dst ?? '');
}

/** A name server in the range would become unreachable from containers. */
async function resolverAddresses(): Promise<readonly string[]> {
  const text = await readFile('/etc/resolv.conf', 'utf8').catch(() => '');
  return [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map((match) => match[1] ?? '');
}
