/** What /etc/hosts, /etc/hostname and /etc/resolv.conf hold inside a container. */
import { readFile } from 'node:fs/promises';
import { AppError } from '../../errors/index.js';
import { textNow } from '../host/files-now.js';
import type { ContainerNames } from '../types.js';

/**
 * The host's resolver file for a container with a network of its own: name servers on the host's loopback cannot be
 * reached from there and are left out.
 */
export function containerResolvConf(hostText: string): string {
  const lines = hostText.split('\n').filter((line) => {
    const [keyword, address] = line.trim().split(/\s+/);
    return keyword !== 'nameserver' || (address !== undefined && !/^(127\.|::1$|0\.0\.0\.0$|::$)/.test(address));
  });
  return `${lines.join('\n').trimEnd()}\n`;
}

/** The host's resolvers; where a stub on loopback stands in front (systemd-resolved), those behind it. */
export function hostResolvConf(): string {
  const text = textNow('/etc/resolv.conf');
  if (/^\s*nameserver\s/m.test(containerResolvConf(text))) return text;
  const behind = textNow('/run/systemd/resolve/resolv.conf');
  return behind === '' ? text : behind;
}

/** Addresses of the name servers of this host that answer from beyond its loopback. */
export function hostNameServers(): readonly string[] {
  const text = containerResolvConf(hostResolvConf());
  return [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map(([, address = '']) => address);
}

/** The resolvers this host itself asks, also those on its loopback. */
export async function hostResolvers(): Promise<readonly { readonly address: string; readonly port: number }[]> {
  const text = await readFile('/etc/resolv.conf', 'utf8').catch(() => '');
  return [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map(([, address = '']) => ({ address, port: 53 }));
}

/**
 * The resolver file with the container's own name servers and search domains in place of the host's.
 * @throws AppError NAME_INVALID for what would become another line of the file
 */
export function ownResolvConf(text: string, { dnsServers = [], dnsSearchDomains = [] }: ContainerNames): string {
  const replaced = (keyword: string | undefined): boolean =>
    (keyword === 'nameserver' && dnsServers.length > 0) ||
    ((keyword === 'search' || keyword === 'domain') && dnsSearchDomains.length > 0);
  const kept = text.split('\n').filter((line) => line !== '' && !replaced(line.trim().split(/\s+/)[0]));
  const search = dnsSearchDomains.length === 0 ? [] : [`search ${dnsSearchDomains.map(oneWord).join(' ')}`];
  return [...kept, ...search, ...dnsServers.map((server) => `nameserver ${oneWord(server)}`), ''].join('\n');
}

function oneWord(text: string): string {
  if (/^[^\s#;]+$/.test(text)) return text;
  throw new AppError('NAME_INVALID', `${JSON.stringify(text)} cannot stand in a container's name files`, {
    hint: 'an address or a name without spaces',
  });
}

/**
 * @param address of the container; absent when it has none of its own
 * @throws AppError NAME_INVALID
 */
export function hostsFile(hostname: string, address?: string, more: ContainerNames['hosts'] = []): string {
  return [
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'ff00::0\tip6-mcastprefix',
    'ff02::1\tip6-allnodes',
    'ff02::2\tip6-allrouters',
    `${address ?? '127.0.1.1'}\t${hostname}`,
    ...more.map((line) => `${oneWord(line.address)}\t${oneWord(line.name)}`),
    '',
  ].join('\n');
}
