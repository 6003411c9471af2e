/**
 * The packet rules that all containers of a platform share: their way out, and the link-local addresses a cloud gives
 * its machines, as containers find them: where the platform's own services are asked (169.254.170.2 for metadata and
 * credentials of tasks, 169.254.169.253 for names), and what is closed to them. Packets from the platform's bridge are
 * sent to a loopback address that only this platform has, so the services need no address on the bridge and two
 * platforms never meet.
 */
import { writeFile } from 'node:fs/promises';
import { mustRun, runCommand } from '../host/host-command.js';
import { bridgeName, networkName } from '../host/host-scope.js';
import { hostNameServers } from '../process/name-files.js';
import type { Subnet } from './subnet.js';
import type { HostScope } from '../types.js';

/** Where containers ask for metadata and credentials of their task, on port 80. */
export const TASK_ENDPOINT_ADDRESS = '169.254.170.2';
/** Where containers of tasks ask for names, on port 53. */
export const RESOLVER_ADDRESS = '169.254.169.253';
/** The ECS agent's own port; ECS keeps it and the next free on every container instance. */
export const TASK_ENDPOINT_PORT = 51679;
export const RESOLVER_PORT = 51680;

/** Where a cloud machine hands out its own credentials. */
const INSTANCE_METADATA = '169.254.169.254/32';
/** After so long without a sign of life, names are asked of the host's own resolver. */
const RESOLVER_SILENT_SECONDS = 6;

/** The loopback address of the scope's own services: 127.64.0.0 to 127.127.255.255, the same at every start. */
export function serviceAddress(scope: HostScope): string {
  const [first = 0, second = 0, third = 0] = Buffer.from(scope.id, 'hex');
  return `127.${(first & 0x3f) | 0x40}.${second}.${third}`;
}

/**
 * Sees to it that the rules of the scope's bridge are there: one look at the tables when all is well, and otherwise all
 * of them anew. Those that choose who answers are a chain of the scope's own.
 */
export async function ensureBridgeRules(scope: HostScope, { cidr }: Subnet): Promise<void> {
  const { stdout } = await runCommand('iptables-save', []);
  const present = new Set(stdout.split('\n').flatMap((line) => /--comment "?(\S+?)"?(?: |$)/.exec(line)?.[1] ?? []));
  const bridge = bridgeName(scope);
  const chain = networkName(scope);
  const rules: readonly (readonly [name: string, table: string, rule: string])[] = [
    // Publishing on 127.0.0.1 makes the kernel route loopback addresses on the bridge; a container must not reach the
    // host's loopback services by that (CVE-2020-8558), nor the machine's credentials.
    ['loopback', 'raw', `PREROUTING 1 -d 127.0.0.0/8 -i ${bridge} -j DROP`],
    ['instance', 'raw', `PREROUTING 1 -d ${INSTANCE_METADATA} -i ${bridge} -j DROP`],
    ['services', 'filter', `INPUT 1 -d ${serviceAddress(scope)}/32 -i ${bridge} -j ACCEPT`],
    // Where a Docker engine has ever run, FORWARD drops what nobody allows.
    ['out', 'filter', `FORWARD 1 -s ${cidr} -i ${bridge} -j ACCEPT`],
    ['back', 'filter', `FORWARD 1 -d ${cidr} -o ${bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`],
    ['masquerade', 'nat', `POSTROUTING 1 -s ${cidr} ! -o ${bridge} -j MASQUERADE`],
  ];
  const missing = rules.filter(([name]) => !present.has(`${chain}:${name}`));
  const lines = missing.flatMap(([name, table, rule]) => [`*${table}`, inserted(scope, name, rule), 'COMMIT']);
  if (lines.length > 0) await restore(lines);
  if (!present.has(`${chain}:asked`)) {
    await restoreAnswers(scope, inserted(scope, 'asked', `PREROUTING 1 -i ${bridge} -j ${chain}`));
  }
}

function inserted(scope: HostScope, name: string, rule: string): string {
  return `-I ${rule.replace(' -j', ` -m comment --comment ${networkName(scope)}:${name} -j`)}`;
}

/** The chain, and the way into it. A kernel without the match for signs of life asks us alone. */
async function restoreAnswers(scope: HostScope, jump: string): Promise<void> {
  const chain = networkName(scope);
  const [upstream] = hostNameServers().filter((address) => !address.includes(':'));
  const alive = ` -m recent --name ${chain} --rcheck --rdest --seconds ${RESOLVER_SILENT_SECONDS}`;
  const lines = (sign: string): readonly string[] => [
    ...[`*nat`, `:${chain} - [0:0]`],
    `-A ${chain} -d ${TASK_ENDPOINT_ADDRESS}/32 -p tcp --dport 80 ${toUs(scope, TASK_ENDPOINT_PORT)}`,
    ...['udp', 'tcp'].flatMap((protocol) => {
      const asked = `-A ${chain} -d ${RESOLVER_ADDRESS}/32 -p ${protocol} --dport 53`;
      // On a host whose only resolver listens on loopback there is no other to ask.
      if (upstream === undefined) return [`${asked} ${toUs(scope, RESOLVER_PORT)}`];
      return [`${asked}${sign} ${toUs(scope, RESOLVER_PORT)}`, `${asked} -j DNAT --to-destination ${upstream}:53`];
    }),
    jump,
    'COMMIT',
  ];
  await restore(lines(alive)).catch(() => restore(lines('')));
}

function toUs(scope: HostScope, port: number): string {
  return `-j DNAT --to-destination ${serviceAddress(scope)}:${port}`;
}

async function restore(lines: readonly string[]): Promise<void> {
  await mustRun('iptables-restore', ['-w', '10', '--noflush'], { input: [...lines, ''].join('\n') });
}

/** Lets what came in by the bridge be answered from a loopback address; `ensureBridgeRules` closes all others. */
export async function routeToLoopback(scope: HostScope): Promise<void> {
  await writeFile(`/proc/sys/net/ipv4/conf/${bridgeName(scope)}/route_localnet`, '1');
}

/**
 * Tells the packet rules that the scope's resolver answers (or, false, that it no longer does). Without such a sign for
 * some seconds the host's resolver is asked in its place: running containers find names while the platform is away.
 */
export async function signResolver(scope: HostScope, answers: boolean): Promise<void> {
  // The list is made with the first rule that uses it; until then nobody asks.
  await writeFile(`/proc/net/xt_recent/${networkName(scope)}`, `${answers ? '+' : '-'}${RESOLVER_ADDRESS}`).catch(
    () => undefined,
  );
}
