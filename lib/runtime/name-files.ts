/** What /etc/hosts, /etc/hostname and /etc/resolv.conf hold inside a container. */
import { readFile } from 'node:fs/promises';

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
export async function hostResolvConf(): Promise<string> {
  const text = await readFile('/etc/resolv.conf', 'utf8').catch(() => '');
  if (/^\s*nameserver\s/m.test(containerResolvConf(text))) return text;
  const behind = await readFile('/run/systemd/resolve/resolv.conf', 'utf8').catch(() => '');
  return behind === '' ? text : behind;
}

/** @param address of the container; absent when it has none of its own */
export function hostsFile(hostname: string, address?: string): string {
  return [
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'ff00::0\tip6-mcastprefix',
    'ff02::1\tip6-allnodes',
    'ff02::2\tip6-allrouters',
    `${address ?? '127.0.1.1'}\t${hostname}`,
    '',
  ].join('\n');
}
