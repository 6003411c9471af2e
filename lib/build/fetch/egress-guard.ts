/**
 * Which addresses a build may reach from the builder itself (ADD of URLs and repositories). A Dockerfile is a
 * stranger's: it must not make us ask our own loopback, the private network or a cloud's metadata service. A name is
 * resolved once, every address it has is checked, and the connection goes to the checked address and to no other.
 */
import type { LookupAddress } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { AppError } from '../../errors/index.js';

export interface EgressOptions {
  /** Ranges that are allowed although they are not public, as `10.1.0.0/16` or `::1/128`; none when absent. */
  readonly allow?: readonly string[];
}

export interface CheckedAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

/** Names to addresses: the system's resolver, or a test's. */
export type Resolve = (host: string) => Promise<readonly LookupAddress[]>;

/** Everything of IANA's IPv4 special-purpose registry, and one cloud's wire server. */
const CLOSED_V4 = [
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24',
  '192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4',
  '168.63.129.16/32',
].flatMap((line) => line.split(' '));
/** Of IPv6 only global unicast is public, without what tunnels to IPv4 or is kept for documents. */
const OPEN_V6 = ['2000::/3'];
const CLOSED_V6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'];

export class EgressGuard {
  private readonly closed = rangesOf([...CLOSED_V4, ...CLOSED_V6]);
  private readonly open = rangesOf(OPEN_V6);
  private readonly allowed: BlockList;

  /** @throws AppError EGRESS_RANGE_INVALID */
  constructor(
    options: EgressOptions = {},
    private readonly resolve: Resolve = (host) => lookup(host, { all: true, verbatim: true }),
  ) {
    this.allowed = rangesOf(options.allow ?? []);
  }

  /**
   * Resolves the host of a URL and checks all its addresses.
   * @throws AppError BUILD_EGRESS_REFUSED, BUILD_REMOTE_UNREACHABLE
   */
  async check(url: URL): Promise<CheckedAddress> {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const family = isIP(host);
    const found = family === 0 ? await this.lookUp(host) : [{ address: host, family }];
    for (const { address } of found) {
      if (!this.isAllowed(address)) throw refused(url, host, address);
    }
    const [first] = found;
    if (first === undefined) throw unreachable(host, 'it has no address');
    return { address: first.address, family: first.family === 6 ? 6 : 4 };
  }

  /** Whether a connection to this address may be made. */
  isAllowed(address: string): boolean {
    const plain = unmapped(address.replace(/%.*$/, ''));
    const family = isIP(plain);
    if (family === 0) return false;
    const type = family === 6 ? 'ipv6' : 'ipv4';
    if (this.allowed.check(plain, type)) return true;
    return !this.closed.check(plain, type) && (family === 4 || this.open.check(plain, type));
  }

  private async lookUp(host: string): Promise<readonly LookupAddress[]> {
    try {
      return await this.resolve(host);
    } catch (error) {
      throw unreachable(host, error instanceof Error ? error.message : String(error));
    }
  }
}

/** `::ffff:127.0.0.1` is 127.0.0.1, however it is written. */
function unmapped(address: string): string {
  if (isIP(address) !== 6) return address;
  // URL writes the hexadecimal form.
  const host = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const match = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(host);
  if (match === null) return host;
  const high = Number.parseInt(match[1] ?? '', 16);
  const low = Number.parseInt(match[2] ?? '', 16);
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

function rangesOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', bits = ''] = range.split('/');
    const family = isIP(address);
    if (family === 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > (family === 6 ? 128 : 32)) {
      throw new AppError('EGRESS_RANGE_INVALID', `${JSON.stringify(range)} is no range of addresses`, {
        hint: 'an address and the bits of its prefix, like 10.0.0.0/8 or fd00::/8',
      });
    }
    list.addSubnet(address, Number(bits), family === 6 ? 'ipv6' : 'ipv4');
  }
  return list;
}

function refused(url: URL, host: string, address: string): AppError {
  const leads = host === address ? '' : `, which is ${address}`;
  return new AppError('BUILD_EGRESS_REFUSED', `${url.origin}${leads}: builds do not fetch from addresses like this`, {
    kind: 'forbidden',
    hint: 'a public address; whoever runs this builder can allow a private range',
  });
}

function unreachable(host: string, why: string): AppError {
  return new AppError('BUILD_REMOTE_UNREACHABLE', `${host} cannot be found: ${why}`, {
    kind: 'failed',
    hint: 'check the name in the URL',
  });
}
