/**
 * The iptables rules of one platform: found by the network's name in their comments, by its bridge and by its addresses.
 * Nothing that belongs to somebody else matches, so removing what is found is safe on a shared host.
 */
import { mustRun, runCommand } from '../host/host-command.js';
import { withNetworkLock } from './network-lock.js';
import { ipv4Range, overlaps } from './subnet.js';

export interface RuleOwner {
  /** In the comments of the rules that the network plugins make. */
  readonly networkName: string;
  readonly bridge: string;
  /** Absent when the platform never had a network. */
  readonly cidr?: string;
}

export interface OwnRules {
  /** `<table> -A …` for each rule, as iptables-save writes it. */
  readonly rules: readonly { readonly table: string; readonly rule: string }[];
  /** Chains made for single containers, and the platform's own. */
  readonly chains: readonly { readonly table: string; readonly chain: string }[];
}

/** Chains the plugins share among all their users. They are nobody's, and go when they are empty. */
const SHARED_CHAINS: readonly { table: string; chain: string; from: readonly string[] }[] = [
  { table: 'nat', chain: 'CNI-HOSTPORT-DNAT', from: ['PREROUTING', 'OUTPUT'] },
  { table: 'nat', chain: 'CNI-HOSTPORT-MASQ', from: ['POSTROUTING'] },
  { table: 'nat', chain: 'CNI-HOSTPORT-SETMARK', from: [] },
  { table: 'filter', chain: 'CNI-FORWARD', from: ['FORWARD'] },
  { table: 'filter', chain: 'CNI-ADMIN', from: [] },
];

/**
 * Chooses the owner's rules from what iptables-save printed.
 */
export function findOwnRules(saved: string, owner: RuleOwner): OwnRules {
  const rules: { table: string; rule: string }[] = [];
  const chains = new Map<string, { table: string; chain: string }>();
  let table = '';
  for (const line of saved.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1).trim();
    if (!line.startsWith('-A ') || !isOwn(line, owner)) continue;
    rules.push({ table, rule: line });
    for (const name of [/^-A (\S+)/.exec(line)?.[1], /-j (\S+)$/.exec(line)?.[1]]) {
      if (name !== undefined && (name === owner.networkName || /^CNI-(DN-|SN-)?[0-9a-f]{20,}$/.test(name))) {
        chains.set(`${table} ${name}`, { table, chain: name });
      }
    }
  }
  return { rules, chains: [...chains.values()] };
}

function isOwn(rule: string, owner: RuleOwner): boolean {
  if (rule.includes(`"${owner.networkName}"`) || rule.includes(`\\"${owner.networkName}\\"`)) return true;
  const words = rule.split(' ');
  if (words.includes(owner.bridge) || words.includes(owner.networkName)) return true;
  const { cidr } = owner;
  return (
    cidr !== undefined &&
    words.some((word) => {
      const address = word.replace(/:\d+$/, '');
      const range = ipv4Range(address);
      // 0.0.0.0/0 and other wide ranges hold ours without being ours.
      return range !== undefined && range.last - range.first < 2 ** 12 && overlaps(address, cidr);
    })
  );
}

export async function readOwnRules(owner: RuleOwner): Promise<OwnRules> {
  const { stdout } = await runCommand('iptables-save', []);
  return findOwnRules(stdout, owner);
}

/** Removes the owner's rules and chains, and the plugins' shared chains if no container of anybody uses them then. */
export async function removeRules(owner: RuleOwner): Promise<void> {
  await withNetworkLock(async () => {
    await removeOwnRules(owner);
    await removeEmptySharedChains();
  });
}

/**
 * Removes the rules that publish one container's ports, where the plugin that made them does not. They name its id, and
 * lead to a chain of its own.
 */
export async function removePublished(networkName: string, containerId: string): Promise<void> {
  await withNetworkLock(async () => {
    const { stdout } = await runCommand('iptables-save', []);
    const { rules } = findOwnRules(stdout, { networkName, bridge: '' });
    const saying = rules.filter(({ rule }) => rule.includes(`id: \\"${containerId}\\"`));
    const chains = saying.flatMap(({ table, rule }) => {
      const chain = /-j (CNI-DN-[0-9a-f]+)$/.exec(rule)?.[1];
      return chain === undefined ? [] : [{ table, chain }];
    });
    await removeFound({ rules: saying, chains });
  });
}

async function removeOwnRules(owner: RuleOwner): Promise<void> {
  await removeFound(await readOwnRules(owner));
}

async function removeFound(own: OwnRules): Promise<void> {
  for (const table of new Set(own.rules.map((entry) => entry.table))) {
    const chains = own.chains.filter((entry) => entry.table === table).map(({ chain }) => chain);
    const inOwnChain = (rule: string): boolean => chains.some((chain) => rule.startsWith(`-A ${chain} `));
    const lines = [
      `*${table}`,
      ...own.rules
        .filter((entry) => entry.table === table && !inOwnChain(entry.rule))
        .map(({ rule }) => rule.replace(/^-A /, '-D ')),
      ...chains.flatMap((chain) => [`-F ${chain}`, `-X ${chain}`]),
      'COMMIT',
      '',
    ];
    await restore(lines);
  }
}

async function removeEmptySharedChains(): Promise<void> {
  const { stdout } = await runCommand('iptables-save', []);
  const lines = stdout.split('\n');
  const idle = (name: string): boolean =>
    !lines.some(
      (line) => line.startsWith(`-A ${name} `) && !/-j (CNI-ADMIN|MARK|MASQUERADE)\b/.test(line) && line.includes('-j'),
    );
  // All or none: the chains refer to one another.
  const names = SHARED_CHAINS.map(({ chain }) => chain);
  if (!names.every(idle)) return;
  for (const { table, chain, from } of SHARED_CHAINS) {
    if (!lines.some((line) => line.startsWith(`:${chain} `))) continue;
    const jumps = lines.filter(
      (line) => from.some((origin) => line.startsWith(`-A ${origin} `)) && line.endsWith(`-j ${chain}`),
    );
    const input = [
      `*${table}`,
      ...jumps.map((line) => line.replace(/^-A /, '-D ')),
      `-F ${chain}`,
      `-X ${chain}`,
      'COMMIT',
      '',
    ];
    await restore(input);
  }
}

/** All of the lines or none. */
async function restore(lines: readonly string[]): Promise<void> {
  await mustRun('iptables-restore', ['-w', '10', '--noflush'], { input: lines.join('\n') });
}

/**
 * Host ports that packet rules send elsewhere, as `8080/tcp`: published by any engine, and not to be seen by bind. What
 * containers ask at link-local addresses takes no port of the host.
 */
export async function publishedPorts(): Promise<ReadonlySet<string>> {
  const { stdout } = await runCommand('iptables-save', ['-t', 'nat']);
  const ports = new Set<string>();
  for (const match of stdout.matchAll(/^-A (?!wharf-).*-p (tcp|udp) .*--dports? ([\d,]+) .*-j (?:CNI-DN-|DNAT)/gm)) {
    for (const port of (match[2] ?? '').split(',')) ports.add(`${port}/${match[1] ?? ''}`);
  }
  return ports;
}
