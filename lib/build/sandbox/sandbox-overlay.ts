/**
 * Sandbox on one Linux machine: overlayfs over the unpacked layers, runc in the foreground, a network namespace of its
 * own. The changes are read from the overlay's upper folder only. Everything of a run lies in one folder named by it,
 * so that a start after a crash can clear all of it away.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../errors/index.js';
import {
  changesetOfUpper,
  copyEntry,
  isWhiteout,
  removeTree,
  type TarMember,
  type UnpackedLayers,
  UpperAsLayer,
} from '../../layers/index.js';
import type { Digest, Platform } from '../../oci/index.js';
import {
  type BridgeNetwork,
  type ContainerLimits,
  type ContainerSpec,
  type HostScope,
  mountPoints,
  type NetworkMode,
  type Runc,
  scopePaths,
  unmountOverlay,
} from '../../runtime/index.js';
import type { Layer } from '../plan/steps.js';
import { emulates } from '../plan/emulation-linux.js';
import { type Entitlement, withinHost } from '../run-settings.js';
import { ProxiedNetworks } from './proxied-network.js';
import { CacheFolders } from './sandbox-cache.js';
import type { Sandbox, SandboxRequest, SandboxResult } from './sandbox.js';
import { mountLayers, RunMounts, unpackedNames } from './sandbox-mounts.js';
import { trust } from './trust-bundle.js';

export interface OverlaySandboxDeps {
  readonly scope: HostScope;
  readonly runc: Runc;
  /** Without it only `--network=none` and `host` work. */
  readonly network?: BridgeNetwork;
  readonly layers: UnpackedLayers;
}

export interface OverlaySandboxOptions {
  /** No process limit other than 16,384 and no memory limit when absent. */
  readonly limits?: ContainerLimits;
  /** Rights beyond the sandbox that builds may be given (`security.insecure` is root on this host); none when absent. */
  readonly allow?: readonly Entitlement[];
}

const DEFAULT_LIMITS: ContainerLimits = { pids: 16_384 };
/** Same for every build: a name that a command writes into a file must not differ. */
const HOSTNAME = 'build';

interface RunNetworking {
  readonly mode: NetworkMode;
  readonly address?: string;
  /** What the command needs to find its way out. */
  readonly env?: Readonly<Record<string, string>>;
}

interface MoreVariables {
  /** Where the command has none of its own. */
  readonly defaults?: Readonly<Record<string, string>> | undefined;
  readonly forced?: Readonly<Record<string, string>> | undefined;
}

export class OverlaySandbox implements Sandbox {
  private readonly directory: string;
  private readonly caches: CacheFolders;
  private readonly proxied: ProxiedNetworks;

  private constructor(
    private readonly deps: OverlaySandboxDeps,
    private readonly options: OverlaySandboxOptions,
  ) {
    this.directory = join(deps.scope.directory, 'builds');
    this.proxied = new ProxiedNetworks(deps.scope);
    this.caches = new CacheFolders(join(deps.scope.directory, 'build-caches'));
  }

  /** Opens the sandbox and clears away what a killed process left. One process per scope. */
  static async open(deps: OverlaySandboxDeps, options: OverlaySandboxOptions = {}): Promise<OverlaySandbox> {
    const sandbox = new OverlaySandbox(deps, options);
    await mkdir(sandbox.directory, { recursive: true, mode: 0o700 });
    for (const id of await readdir(sandbox.directory)) await sandbox.clear(id);
    await sandbox.caches.sweep();
    return sandbox;
  }

  readonly emulates = (platform: Platform): Promise<boolean> => emulates(platform);

  async prepare(layers: readonly Layer[]): Promise<void> {
    await unpackedNames(this.deps.layers, layers);
  }

  async run<T extends Pick<Layer, 'diffId'>>(
    request: SandboxRequest,
    collect: (changes: AsyncIterable<TarMember>) => Promise<T>,
  ): Promise<SandboxResult<T>> {
    const id = `build-${request.id}`;
    const folder = join(this.directory, id);
    const runMounts = new RunMounts({ layers: this.deps.layers, caches: this.caches }, folder, request.signal);
    const privileged = this.isPrivileged(request);
    try {
      await mkdir(folder, { recursive: true, mode: 0o711 });
      const rootfs = join(folder, 'rootfs');
      const upper = join(folder, 'upper');
      await mountLayers(this.deps.layers, request.layers, rootfs, { upper, work: join(folder, 'work') });
      await this.makeWorkdir(rootfs, request);
      const trusted = request.proxy && (await trust(rootfs, request.lower, request.proxy.certificate));
      const mounts = await runMounts.prepare([...request.mounts, ...(trusted === undefined ? [] : [trusted.mount])]);
      const network = await this.network(id, request);
      const env = await this.withSecrets(id, runMounts, request, { defaults: trusted?.env, forced: network.env });
      const startMs = await fileClock(folder);
      const { exitCode, outOfMemory } = await this.deps.runc.run(
        {
          id,
          rootfs,
          process: { ...request.process, env },
          hostname: request.hostname ?? HOSTNAME,
          mounts,
          network: network.mode,
          ...this.settings(request),
          ...(privileged ? { privileged } : {}),
        },
        {
          onOutput: request.onOutput,
          signal: request.signal,
          ...(network.address === undefined ? {} : { address: network.address }),
        },
      );
      if (exitCode !== 0) return { exitCode, outOfMemory };
      await trusted?.end();
      const window = { startMs, endMs: await fileClock(folder) };
      // Nothing may hold files open while the folder is read.
      await unmountOverlay(rootfs);
      const clamp = request.clampSeconds === undefined ? {} : { mtimeClamp: request.clampSeconds };
      const mountLower = async (): Promise<string> => {
        const below = join(folder, 'below');
        await mountLayers(this.deps.layers, request.layers, below);
        return below;
      };
      const written = new UpperAsLayer();
      const changes = changesetOfUpper(upper, { lower: request.lower, mountLower, saw: written.saw, ...clamp });
      const value = await collect(written.watch(settled(changes, window, request.timeSeconds)));
      if (request.keeps) await this.keep(value.diffId, upper, written);
      return { exitCode: 0, value };
    } finally {
      await this.end(id, runMounts);
    }
  }

  /** The next command mostly stands on this one: its changes stay as the unpacked layer they are, if they are no more than that. */
  private async keep(diffId: Digest, upper: string, written: UpperAsLayer): Promise<void> {
    const sizeBytes = await written.settle(upper);
    if (sizeBytes !== undefined) await this.deps.layers.adopt(diffId, upper, sizeBytes);
  }

  /** Each part whatever became of the one before: a lock that stayed would keep every later build waiting. */
  private async end(id: string, mounts: RunMounts): Promise<void> {
    try {
      await mounts.stopAgents();
    } finally {
      try {
        // First everything that still uses the caches.
        await this.clear(id);
      } finally {
        await mounts.releaseCaches();
      }
    }
  }

  /** What the request asks for, never above what the operator gives. */
  private settings({
    settings = {},
  }: SandboxRequest): Pick<ContainerSpec, 'limits' | 'names' | 'shmBytes' | 'ulimits'> {
    const { hosts = {}, shmBytes, ulimits, limits = {} } = settings;
    const { cpuShares, ...others } = withinHost(limits, this.options.limits ?? {});
    const names = Object.entries(hosts).map(([name, address]) => ({ name, address }));
    return {
      limits: {
        ...DEFAULT_LIMITS,
        ...this.options.limits,
        ...others,
        ...(cpuShares === undefined ? {} : { cpuUnits: cpuShares }),
      },
      ...(names.length === 0 ? {} : { names: { hosts: names } }),
      ...(shmBytes === undefined ? {} : { shmBytes }),
      ...(ulimits === undefined ? {} : { ulimits }),
    };
  }

  private isPrivileged(request: SandboxRequest): boolean {
    if (request.security !== 'insecure') return false;
    if (this.options.allow?.includes('security.insecure') === true) return true;
    const message = "RUN --security=insecure: a command with all of root's rights is not allowed here";
    throw new AppError('BUILD_UNSUPPORTED_RUN_SECURITY', message, {
      kind: 'unsupported',
      hint: '--security=sandbox; whoever runs this builder can allow insecure',
      details: { word: '--security' },
    });
  }

  /** The environment. With secrets in it, what the runtime writes of it goes to memory instead of the disk. */
  private async withSecrets(
    id: string,
    mounts: RunMounts,
    { secretEnv, process: { env: asked } }: SandboxRequest,
    { defaults = {}, forced = {} }: MoreVariables,
  ): Promise<readonly string[]> {
    const names = new Set(asked.map(nameOf));
    const env = [
      ...asked.filter((entry) => !(nameOf(entry) in forced)),
      ...entriesOf(defaults).filter((entry) => !names.has(nameOf(entry))),
      ...entriesOf(forced),
    ];
    if (secretEnv === undefined || secretEnv.size === 0) return env;
    const bundle = join(await mounts.memory(), 'bundle');
    const link = scopePaths.bundle(this.deps.scope, id);
    await mkdir(bundle, { mode: 0o711 });
    await mkdir(join(link, '..'), { recursive: true, mode: 0o711 });
    await symlink(bundle, link);
    const others = env.filter((entry) => !secretEnv.has(nameOf(entry)));
    return [...others, ...[...secretEnv].map(([name, value]) => `${name}=${value}`)];
  }

  /** The working folder is made when the image has none, as docker does. */
  private async makeWorkdir(rootfs: string, request: SandboxRequest): Promise<void> {
    const path = request.lower.resolve(request.process.cwd);
    await mkdir(join(rootfs, path), { recursive: true, mode: 0o755 });
  }

  private async network(id: string, { network, proxy }: SandboxRequest): Promise<RunNetworking> {
    if (network === 'none') return { mode: { mode: 'none' } };
    if (network === 'host' && this.options.allow?.includes('network.host') !== true) {
      throw new AppError(
        'BUILD_UNSUPPORTED_RUN_NETWORK',
        "RUN --network=host: the host's network is not allowed here",
        {
          kind: 'unsupported',
          hint: '--network=default, which has a way out, or none; whoever runs this builder can allow host',
          details: { word: '--network' },
        },
      );
    }
    if (proxy !== undefined) return this.proxied.open(id, proxy);
    if (network === 'host') return { mode: { mode: 'host' } };
    if (this.deps.network === undefined) {
      throw new AppError('BUILD_RUN_UNAVAILABLE', 'this host has no network for RUN', {
        kind: 'unsupported',
        hint: 'RUN --network=none',
      });
    }
    const { netnsPath, address } = await this.deps.network.attach(id);
    return { mode: { mode: 'namespace', path: netnsPath }, address };
  }

  /** Takes everything of a run away. Fine when there is nothing. */
  private async clear(id: string): Promise<void> {
    const folder = join(this.directory, id);
    await this.deps.runc.delete(id);
    await this.deps.network?.detach(id);
    await this.proxied.close(id);
    // What a killed process left of the runtime's files; a link, when they are in memory.
    await rm(scopePaths.bundle(this.deps.scope, id), { recursive: true, force: true });
    await rm(scopePaths.etc(this.deps.scope, id), { recursive: true, force: true });
    const mounted = (await mountPoints()).filter((path) => path.startsWith(`${folder}/`));
    for (const path of mounted.reverse()) await unmountOverlay(path);
    await removeTree(folder);
  }
}

function nameOf(entry: string): string {
  return entry.slice(0, entry.indexOf('='));
}

function entriesOf(variables: Readonly<Record<string, string>>): string[] {
  return Object.entries(variables).map(([name, value]) => `${name}=${value}`);
}

/** The time the file system gives to a file that is written now: what changes will be compared with. */
async function fileClock(folder: string): Promise<number> {
  const path = join(folder, `.clock-${randomBytes(4).toString('hex')}`);
  await writeFile(path, '');
  const { mtimeMs } = await stat(path);
  await rm(path);
  return mtimeMs;
}

/** Replaces times that the run's own clock made. */
async function* settled(
  changes: AsyncIterable<TarMember>,
  window: { readonly startMs: number; readonly endMs: number },
  timeSeconds: number,
): AsyncGenerator<TarMember, void, undefined> {
  const first = Math.floor(window.startMs / 1000);
  const last = Math.floor(window.endMs / 1000);
  for await (const { entry, body } of changes) {
    const own = entry.mtimeSeconds >= first && entry.mtimeSeconds <= last && !isWhiteout(entry.path);
    yield { entry: own ? copyEntry(entry, { mtimeSeconds: timeSeconds }) : entry, body };
  }
}
