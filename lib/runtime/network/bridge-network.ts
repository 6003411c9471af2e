/**
 * BridgeNetwork: one Linux bridge per platform, and on it one network namespace per container with an address, a way
 * out by masquerade, and published ports. What all containers share is made once; a container without published ports
 * costs two calls of `ip` and no packet rule. What was attached is remembered, and every trace of it can be taken away.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../errors/index.js';
import { type AttachmentRecord, Attachments, attachedIds, hasNetns } from './attachments.js';
import { hasBridge, type LinkedAddress, makeBridge, makeLink } from './bridge-link.js';
import { findPluginFolder, PLUGIN_FOLDERS, PLUGINS } from './cni.js';
import { mustRun, runCommand } from '../host/host-command.js';
import { bridgeName, netnsName, scopePaths } from '../host/host-scope.js';
import { ensureMemory } from '../host/scope-memory.js';
import { ensureBridgeRules, routeToLoopback } from './link-local.js';
import { NetworkAddresses } from './network-addresses.js';
import { keepSubnet, readKeptSubnet, removeNetwork } from './network-remains.js';
import { PublishedPorts } from './published-ports.js';
import { claimSubnet, type Subnet } from './subnet.js';
import type { HostScope, PortMapping } from '../types.js';

export interface NetworkAttachment extends LinkedAddress {
  /** For `{ mode: 'namespace', path }`. */
  readonly netnsPath: string;
}

export interface AttachOptions {
  readonly ports?: readonly PortMapping[];
  /**
   * Told as soon as the namespace is there: a container may be set up in it while the rest is made, and must not be
   * started before that.
   */
  readonly joinable?: (attachment: NetworkAttachment) => void;
}

const LOOK_AGAIN_MS = 1000;

export class BridgeNetwork {
  private readonly records: Attachments;
  private readonly published: PublishedPorts;
  private readonly addresses: NetworkAddresses;
  /** What is being done about a container, one thing after the other. */
  private readonly queues = new Map<string, Promise<unknown>>();
  /** The last look at what all share: whoever comes soon after it does with the same one. */
  private look: Promise<void> | undefined;
  private looking: Promise<void> = Promise.resolve();
  private isBridgeMade = false;

  private constructor(
    readonly scope: HostScope,
    readonly subnet: Subnet,
    pluginFolder: string,
    private readonly mtu: number,
  ) {
    this.records = new Attachments(scope);
    this.published = new PublishedPorts(scope, subnet, pluginFolder);
    this.addresses = new NetworkAddresses(join(scopePaths.attachments(scope), 'addresses'), subnet);
  }

  /**
   * @param pluginFolders where the CNI plugins are looked for
   * @throws AppError HOST_TOOL_MISSING without the plugins, NETWORK_FULL
   */
  static async open(scope: HostScope, pluginFolders: readonly string[] = PLUGIN_FOLDERS): Promise<BridgeNetwork> {
    const folder = await findPluginFolder(PLUGINS, pluginFolders);
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
    if (kept?.cidr !== subnet.cidr) await keepSubnet(scope, subnet);
    return new BridgeNetwork(scope, subnet, folder, await uplinkMtu());
  }

  /**
   * Gives the container a namespace, an address and its ports. Called again, it answers with what is there.
   * @throws AppError NETWORK_ATTACH_FAILED; nothing is left then
   */
  attach(id: string, options: AttachOptions = {}): Promise<NetworkAttachment> {
    const joinable = (link: LinkedAddress): void => options.joinable?.(this.attachment(id, link));
    return this.inTurn(id, async () => {
      await ensureMemory(this.scope);
      const known = this.records.get(id);
      if (known?.link !== undefined && hasNetns(this.scope, id)) return this.attachment(id, known.link);
      if (known !== undefined) await this.undo(id, known);
      const record: AttachmentRecord = { id, ports: options.ports ?? [] };
      this.records.write(record);
      try {
        const link = await this.link(id, record.ports, joinable);
        this.records.write({ ...record, link });
        return this.attachment(id, link);
      } catch (error) {
        await this.undo(id, record).catch(() => undefined);
        if (error instanceof AppError && error.code !== 'HOST_COMMAND_FAILED') throw error;
        const said = error instanceof Error ? error.message : String(error);
        throw new AppError('NETWORK_ATTACH_FAILED', `container ${id} got no network: ${said}`, {
          kind: 'failed',
          cause: error,
        });
      }
    });
  }

  /** The attachment of a container; undefined when it has none. */
  async find(id: string): Promise<NetworkAttachment | undefined> {
    const record = this.records.get(id);
    return record?.link === undefined ? undefined : this.attachment(id, record.link);
  }

  /** Takes ports, address and namespace away. Idempotent. */
  detach(id: string): Promise<void> {
    return this.inTurn(id, () => this.undo(id, this.records.get(id)));
  }

  /** Ids that are attached, or were being attached when a process died. */
  async attached(): Promise<readonly string[]> {
    return attachedIds(this.scope);
  }

  /** Detaches everything and takes away bridge, rules, claim and records: as if it had never been. */
  async remove(): Promise<void> {
    for (const id of await this.attached()) await this.detach(id);
    await removeNetwork(this.scope, this.subnet);
    this.isBridgeMade = false;
    this.look = undefined;
  }

  private inTurn<T>(id: string, work: () => Promise<T>): Promise<T> {
    const before = this.queues.get(id) ?? Promise.resolve();
    const done = before.then(work);
    const settled = done
      .catch(() => undefined)
      .then(() => {
        if (this.queues.get(id) === settled) this.queues.delete(id);
      });
    this.queues.set(id, settled);
    return done;
  }

  private async link(
    id: string,
    ports: readonly PortMapping[],
    joinable: (link: LinkedAddress) => void,
  ): Promise<LinkedAddress> {
    const { scope, subnet, mtu } = this;
    await this.ensureBridge();
    // No program of a container runs in the namespace before both are done.
    const [rules, made] = await Promise.allSettled([
      this.ensureRules(),
      (async () => makeLink(scope, id, { address: this.addresses.claim(id), subnet, mtu }, joinable))(),
    ]);
    if (made.status === 'rejected') throw made.reason;
    if (rules.status === 'rejected') throw rules.reason;
    if (ports.length > 0) await this.published.publish(id, ports, made.value);
    return made.value;
  }

  private async ensureBridge(): Promise<void> {
    if (this.isBridgeMade && (await hasBridge(this.scope))) return;
    this.look = undefined;
    await this.oneAtATime(async () => {
      await makeBridge(this.scope, this.subnet, this.mtu);
      await routeToLoopback(this.scope);
    });
    this.isBridgeMade = true;
  }

  /**
   * Looks whether the rules that all containers share are there, at most once a second: who takes rules away does so
   * while containers run as well.
   */
  private ensureRules(): Promise<void> {
    this.look ??= this.lookAtRules();
    return this.look;
  }

  private async lookAtRules(): Promise<void> {
    const forget = (): void => void (this.look = undefined);
    try {
      await this.oneAtATime(() => ensureBridgeRules(this.scope, this.subnet));
      setTimeout(forget, LOOK_AGAIN_MS).unref();
    } catch (error) {
      forget();
      throw error;
    }
  }

  private oneAtATime(work: () => Promise<void>): Promise<void> {
    const done = this.looking.then(work);
    this.looking = done.catch(() => undefined);
    return done;
  }

  private async undo(id: string, record: AttachmentRecord | undefined): Promise<void> {
    const exists = hasNetns(this.scope, id);
    if (record === undefined && !exists) return;
    const { ports = [], link } = record ?? {};
    if (ports.length > 0) await this.published.withdraw(id, ports, link, exists);
    // The link goes with it.
    if (exists) await mustRun('ip', ['netns', 'delete', netnsName(this.scope, id)]);
    if (link === undefined) this.addresses.release(id);
    else this.addresses.releaseAddress(link.address);
    this.records.forget(id);
  }

  private attachment(id: string, link: LinkedAddress): NetworkAttachment {
    return { netnsPath: scopePaths.netns(this.scope, id), ...link };
  }
}

/** The bridge must not send larger packets than the way out takes. */
async function uplinkMtu(): Promise<number> {
  const { stdout } = await runCommand('ip', ['-j', '-4', 'route', 'show', 'default']);
  const [route] = JSON.parse(stdout === '' ? '[]' : stdout) as readonly { dev?: string }[];
  const text = await readFile(`/sys/class/net/${route?.dev ?? 'lo'}/mtu`, 'utf8').catch(() => '1500');
  return Math.min(1500, Number(text));
}
