/**
 * The platform's bridge and the links of containers to it, made by `ip` in one go each. A container has its hardware
 * address from its IP address, so that it is never looked up.
 */
import { randomBytes } from 'node:crypto';
import { access, writeFile } from 'node:fs/promises';
import { mustRun } from '../host/host-command.js';
import { bridgeName, netnsName } from '../host/host-scope.js';
import type { Subnet } from './subnet.js';
import type { HostScope } from '../types.js';

export interface LinkedAddress {
  readonly address: string;
  readonly gateway: string;
  /** Of the container's end. */
  readonly macAddress: string;
}

/** The bridge with the gateway's address; what is there stays as it is. */
export async function makeBridge(scope: HostScope, subnet: Subnet, mtu: number): Promise<void> {
  const bridge = bridgeName(scope);
  // Of its own, or it would change with every container that comes and goes.
  const made = `link add name ${bridge} address ${macOf(subnet.gateway)} mtu ${mtu} type bridge`;
  await batch([
    ...((await hasBridge(scope)) ? [] : [made]),
    `addr replace ${withPrefix(subnet.gateway, subnet)} dev ${bridge}`,
    `link set ${bridge} up`,
  ]);
  await writeFile('/proc/sys/net/ipv4/ip_forward', '1');
}

export async function hasBridge(scope: HostScope): Promise<boolean> {
  return access(`/sys/class/net/${bridgeName(scope)}`).then(
    () => true,
    () => false,
  );
}

/**
 * A network namespace for the container, and in it eth0 with this address and the way out.
 * @param joinable told when the namespace is there with eth0 in it, before that has its address
 */
export async function makeLink(
  scope: HostScope,
  id: string,
  { address, subnet, mtu }: { readonly address: string; readonly subnet: Subnet; readonly mtu: number },
  joinable: (link: LinkedAddress) => void,
): Promise<LinkedAddress> {
  const netns = netnsName(scope, id);
  const macAddress = macOf(address);
  const made: LinkedAddress = { address, gateway: subnet.gateway, macAddress };
  // The link of an earlier container may be on its way out: no name comes twice. At most 15 characters.
  const link = `wv${scope.id}${randomBytes(3).toString('hex')}`;
  const peer = `peer name eth0 address ${macAddress} mtu ${mtu} netns ${netns}`;
  await batch([
    `netns add ${netns}`,
    `link add name ${link} mtu ${mtu} type veth ${peer}`,
    `link set ${link} master ${bridgeName(scope)} up`,
    // So that a container reaches itself by a port it has published.
    `link set ${link} type bridge_slave hairpin on`,
  ]);
  joinable(made);
  await batch(
    [
      'link set lo up',
      `addr add ${withPrefix(address, subnet)} dev eth0`,
      'link set eth0 up',
      `route add default via ${subnet.gateway}`,
    ],
    ['-n', netns],
  );
  return made;
}

/** A local hardware address that holds the IP address: whoever gets the address next has the same. */
function macOf(address: string): string {
  const octets = address.split('.').map((octet) => Number(octet).toString(16).padStart(2, '0'));
  return ['0a', '58', ...octets].join(':');
}

export function withPrefix(address: string, subnet: Subnet): string {
  return `${address}/${subnet.cidr.split('/')[1] ?? ''}`;
}

/** All of the lines by one process; the first that fails ends it. */
async function batch(lines: readonly string[], flags: readonly string[] = []): Promise<void> {
  await mustRun('ip', [...flags, '-batch', '-'], { input: [...lines, ''].join('\n') });
}
