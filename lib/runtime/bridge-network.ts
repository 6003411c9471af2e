/**
 * BridgeNetwork: one Linux bridge per platform, and on it one network namespace per container with an address, a way
 * out by masquerade, and published ports. The CNI plugins do the work; this file decides names and ranges, remembers
 * what was attached, and can take every trace of it away again.
 */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, errnoCode } from '../errors/index.js';
import { CniChain, type CniPlugin, type CniResult, findPluginFolder, PLUGINS } from './cni.js';
import { mustRun, runCommand } from './host-command.js';
import { bridgeName, netnsName, networkName, scopePaths } from './host-scope.js';
import { ensureBridgeRules, routeToLoopback } from './link-local.js';
import { removeRules, type RuleOwner } from './packet-rules.js';
import { claimSubnet, releaseSubnet, type Subnet } from './subnet.js';
import type { HostScope, PortMapping } from './types.js';

export interface NetworkAttachment {
  /** For `{ mode: 'namespace', path }`. */
  readonly netnsPath: string;
  readonly address: string;
  readonly gateway: string;
  /** Of the container's end. */
  readonly macAddress?: string;
}

interface AttachmentRecord {
  readonly id: string;
  readonly ports: readonly PortMapping[];
  /** Absent while the plugins are at work: after a crash such a record is undone, not believed. */
  readonly result?: CniResult;
}

export class BridgeNetwork {
  private readonly directory: string;
  /** The plugins work one after the other anyway; waiting here keeps their lock's waiting time short. */
  private queue: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly scope: HostScope,
    readonly subnet: Subnet,
    private readonly pluginFolder: string,
    private readonly mtu: number,
  ) {
    this.directory = scopePaths.network(scope);
  }

  /** @throws AppError HOST_TOOL_MISSING without the plugins, NETWORK_FULL */
  static async open(scope: HostScope): Promise<BridgeNetwork> {
    const folder = await findPluginFolder(PLUGINS);
    if (folder === undefined) {
      throw new AppError('HOST_TOOL_MISSING', `no folder has the CNI plugins ${PLUGINS.join(', ')}`, {
        kind: 'unavailable',
        retryable: false,
        hint: 'apt-get install containernetworking-plugins, or unpack the upstream archive to /opt/cni/bin',
      });
    }
    await mkdir(scopePaths.network(scope), { recursive: true, mode: 0o700 });
    const kept = await readKeptSubnet(scope);
    const subnet = await claimSubnet(scope, bridgeName(scope), kept);
    if (kept?.cidr !== subnet.cidr) await writeAtomically(join(scopePaths.network(scope), 'subnet.json'), subnet);
    return new BridgeNetwork(scope, subnet, folder, await uplinkMtu());
  }

  /**
   * Gives the container a namespace, an address and its ports. Called again, it answers with what is there.
   * @throws AppError NETWORK_ATTACH_FAILED; nothing is left then
   */
  attach(id: string, options: { readonly ports?: readonly PortMapping[] } = {}): Promise<NetworkAttachment> {
    return this.serially(async () => {
      const path = scopePaths.netns(this.scope, id);
      const known = await this.record(id);
      if (known?.result !== undefined && (await hasNetns(this.scope, id))) return attachment(path, known.result);
      if (known !== undefined) await this.undo(id, known);
      const record: AttachmentRecord = { id, ports: options.ports ?? [] };
      await writeAtomically(this.file(id), record);
      try {
        await ensureBridgeRules(this.scope);
        await mustRun('ip', ['netns', 'add', netnsName(this.scope, id)]);
        await mustRun('ip', ['-n', netnsName(this.scope, id), 'link', 'set', 'lo', 'up']);
        const result = await this.chain(record.ports).add({ containerId: id, netns: path, interfaceName: 'eth0' });
        await routeToLoopback(this.scope);
        const attached = attachment(path, result);
        await writeAtomically(this.file(id), { ...record, result });
        return attached;
      } catch (error) {
        await this.undo(id, record).catch(() => undefined);
        throw error;
      }
    });
  }

  /** The attachment of a container; undefined when it has none. */
  async find(id: string): Promise<NetworkAttachment | undefined> {
    const record = await this.record(id);
    return record?.result === undefined ? undefined : attachment(scopePaths.netns(this.scope, id), record.result);
  }

  /** Takes ports, address and namespace away. Idempotent. */
  detach(id: string): Promise<void> {
    return this.serially(async () => this.undo(id, await this.record(id)));
  }

  /** Ids that are attached, or were being attached when a process died. */
  async attached(): Promise<readonly string[]> {
    const names = await readdir(this.directory).catch(() => []);
    return names.filter((name) => name.endsWith('.attachment')).map((name) => name.slice(0, -'.attachment'.length));
  }

  /** Detaches everything and takes away bridge, rules, claim and records: as if it had never been. */
  async remove(): Promise<void> {
    for (const id of await this.attached()) await this.detach(id);
    await this.serially(() => removeNetwork(this.scope, this.subnet));
  }

  private serially<T>(work: () => Promise<T>): Promise<T> {
    const done = this.queue.then(work);
    this.queue = done.catch(() => undefined);
    return done;
  }

  private async undo(id: string, record: AttachmentRecord | undefined): Promise<void> {
    const exists = await hasNetns(this.scope, id);
    if (record === undefined && !exists) return;
    const netns = exists ? scopePaths.netns(this.scope, id) : '';
    const chain = this.chain(record?.ports ?? []);
    await chain.delete({ containerId: id, netns, interfaceName: 'eth0' }, record?.result);
    if (exists) await mustRun('ip', ['netns', 'delete', netnsName(this.scope, id)]);
    await rm(this.file(id), { force: true });
  }

  private chain(ports: readonly PortMapping[]): CniChain {
    const portMappings = ports.map(({ containerPort, hostPort, hostIp, protocol }) => ({
      containerPort,
      hostPort,
      protocol,
      ...(hostIp === '' || hostIp === '0.0.0.0' ? {} : { hostIP: hostIp }),
    }));
    const plugins: CniPlugin[] = [
      {
        type: 'bridge',
        bridge: bridgeName(this.scope),
        isGateway: true,
        ipMasq: true,
        hairpinMode: true,
        mtu: this.mtu,
        ipam: {
          type: 'host-local',
          dataDir: join(this.directory, 'addresses'),
          ranges: [[{ subnet: this.subnet.cidr, gateway: this.subnet.gateway }]],
          routes: [{ dst: '0.0.0.0/0' }],
        },
      },
      { type: 'portmap', snat: true, capabilities: { portMappings: true }, runtimeConfig: { portMappings } },
      // Where a Docker engine has ever run, FORWARD drops what nobody allows.
      { type: 'firewall', backend: 'iptables' },
    ];
    return new CniChain(this.pluginFolder, networkName(this.scope), plugins);
  }

  private async record(id: string): Promise<AttachmentRecord | undefined> {
    const text = await readFile(this.file(id), 'utf8').catch((error: unknown) => {
      if (errnoCode(error) === 'ENOENT') return undefined;
      throw error;
    });
    return text === undefined ? undefined : (JSON.parse(text) as AttachmentRecord);
  }

  private file(id: string): string {
    // The name is checked before it becomes a path.
    return join(this.directory, `${netnsName(this.scope, id).slice(`wharf-${this.scope.id}-`.length)}.attachment`);
  }
}

/** What a platform's network is known by on the host. */
export async function ruleOwner(scope: HostScope): Promise<RuleOwner> {
  const subnet = await readKeptSubnet(scope);
  return {
    networkName: networkName(scope),
    bridge: bridgeName(scope),
    ...(subnet === undefined ? {} : { cidr: subnet.cidr }),
  };
}

/** Namespaces of this scope, by container id. */
export async function scopeNamespaces(scope: HostScope): Promise<readonly string[]> {
  const prefix = `wharf-${scope.id}-`;
  const names = await readdir('/run/netns').catch(() => [] as string[]);
  return names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
}

/** Takes away bridge, rules, claim and records without asking the plugins: works also where they are gone. */
export async function removeNetwork(scope: HostScope, subnet?: Subnet): Promise<void> {
  const known = subnet ?? (await readKeptSubnet(scope));
  for (const id of await scopeNamespaces(scope)) await runCommand('ip', ['netns', 'delete', netnsName(scope, id)]);
  await runCommand('ip', ['link', 'delete', bridgeName(scope)]);
  await removeRules(await ruleOwner(scope));
  if (known !== undefined) await releaseSubnet(scope, known);
  await rm(scopePaths.network(scope), { recursive: true, force: true });
}

async function hasNetns(scope: HostScope, id: string): Promise<boolean> {
  return (await scopeNamespaces(scope)).includes(id);
}

async function readKeptSubnet(scope: HostScope): Promise<Subnet | undefined> {
  const text = await readFile(join(scopePaths.network(scope), 'subnet.json'), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as Subnet);
}

function attachment(netnsPath: string, result: CniResult): NetworkAttachment {
  const [ip] = result.ips ?? [];
  if (ip === undefined) {
    throw new AppError('NETWORK_ATTACH_FAILED', 'the network plugins gave no address', { kind: 'failed' });
  }
  const macAddress = result.interfaces?.find(({ sandbox = '' }) => sandbox !== '')?.mac;
  return {
    netnsPath,
    address: ip.address.replace(/\/.*$/, ''),
    gateway: ip.gateway ?? '',
    ...(macAddress === undefined ? {} : { macAddress }),
  };
}

/** The bridge must not send larger packets than the way out takes. */
async function uplinkMtu(): Promise<number> {
  const { stdout } = await runCommand('ip', ['-j', '-4', 'route', 'show', 'default']);
  const [route] = JSON.parse(stdout === '' ? '[]' : stdout) as readonly { dev?: string }[];
  const text = await readFile(`/sys/class/net/${route?.dev ?? 'lo'}/mtu`, 'utf8').catch(() => '1500');
  return Math.min(1500, Number(text));
}

async function writeAtomically(path: string, value: object): Promise<void> {
  const temporary = `${path}.tmp`;
  await writeFile(temporary, JSON.stringify(value), { flush: true });
  await rename(temporary, path);
}
