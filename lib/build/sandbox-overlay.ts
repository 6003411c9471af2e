/**
 * Sandbox on one Linux machine: overlayfs over the unpacked layers, runc in the foreground, a network namespace of its
 * own. The changes are read from the overlay's upper folder only. Everything of a run lies in one folder named by it,
 * so that a start after a crash can clear all of it away.
 */
import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../errors/index.js';
import { changesetOfUpper, isWhiteout, type TarMember, type UnpackedLayers } from '../layers/index.js';
import type { Platform } from '../oci/index.js';
import {
  type BridgeNetwork,
  capabilitySet,
  type ContainerLimits,
  type HostScope,
  mountOverlay,
  mountPoints,
  mustRun,
  type NetworkMode,
  type Runc,
  type RuntimeMount,
  scopePaths,
  unmountOverlay,
} from '../runtime/index.js';
import { emulates } from './emulation-linux.js';
import { CacheFolders } from './sandbox-cache.js';
import type { Sandbox, SandboxMount, SandboxRequest, SandboxResult } from './sandbox.js';
import type { Layer } from './steps.js';

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
  /** Whether `RUN --network=host` is allowed; false when absent. */
  readonly allowHostNetwork?: boolean;
  /** Whether `RUN --security=insecure`, which is root on this host, is allowed; false when absent. */
  readonly allowInsecure?: boolean;
}

const DEFAULT_LIMITS: ContainerLimits = { pids: 16_384 };
/** Same for every build: a name that a command writes into a file must not differ. */
const HOSTNAME = 'build';

export class OverlaySandbox implements Sandbox {
  private readonly directory: string;
  private readonly caches: CacheFolders;

  private constructor(
    private readonly deps: OverlaySandboxDeps,
    private readonly options: OverlaySandboxOptions,
  ) {
    this.directory = join(deps.scope.directory, 'builds');
    this.caches = new CacheFolders(join(deps.scope.directory, 'build-caches'));
  }

  /** Opens the sandbox and clears away what a killed process left. One process per scope. */
  static async open(deps: OverlaySandboxDeps, options: OverlaySandboxOptions = {}): Promise<OverlaySandbox> {
    const sandbox = new OverlaySandbox(deps, options);
    await mkdir(sandbox.directory, { recursive: true, mode: 0o700 });
    for (const id of await readdir(sandbox.directory)) await sandbox.clear(id);
    return sandbox;
  }

  readonly emulates = (platform: Platform): Promise<boolean> => emulates(platform);

  async run<T>(
    request: SandboxRequest,
    collect: (changes: AsyncIterable<TarMember>) => Promise<T>,
  ): Promise<SandboxResult<T>> {
    const id = `build-${request.id}`;
    const folder = join(this.directory, id);
    const releases: (() => Promise<void>)[] = [];
    const privileged = this.isPrivileged(request);
    try {
      await mkdir(folder, { recursive: true, mode: 0o711 });
      const rootfs = join(folder, 'rootfs');
      const upper = join(folder, 'upper');
      await this.mount(request.layers, rootfs, { upper, work: join(folder, 'work') });
      await this.makeWorkdir(rootfs, request);
      const mounts = await this.mounts(request, folder, releases);
      const network = await this.network(id, request.network);
      const env = await this.withSecrets(id, folder, request);
      const startMs = await fileClock(folder);
      const { exitCode, outOfMemory } = await this.deps.runc.run(
        {
          id,
          rootfs,
          process: { ...request.process, env },
          hostname: HOSTNAME,
          mounts,
          network: network.mode,
          limits: { ...DEFAULT_LIMITS, ...this.options.limits },
          ...(privileged ? { privileged, capabilities: { drop: await missingCapabilities() } } : {}),
        },
        {
          onOutput: request.onOutput,
          signal: request.signal,
          ...(network.address === undefined ? {} : { address: network.address }),
        },
      );
      if (exitCode !== 0) return { exitCode, outOfMemory };
      const window = { startMs, endMs: await fileClock(folder) };
      // Nothing may hold files open while the folder is read.
      await unmountOverlay(rootfs);
      const clamp = request.clampSeconds === undefined ? {} : { mtimeClamp: request.clampSeconds };
      const changes = changesetOfUpper(upper, { lower: request.lower, ...clamp });
      return { exitCode: 0, value: await collect(settled(changes, window, request.timeSeconds)) };
    } finally {
      // First everything that still uses them.
      await this.clear(id);
      for (const release of releases) await release();
    }
  }

  private isPrivileged(request: SandboxRequest): boolean {
    if (request.security !== 'insecure') return false;
    if (this.options.allowInsecure === true) return true;
    const message = "RUN --security=insecure: a command with all of root's rights is not allowed here";
    throw new AppError('BUILD_UNSUPPORTED_RUN_SECURITY', message, {
      kind: 'unsupported',
      hint: '--security=sandbox; whoever runs this builder can allow insecure',
      details: { word: '--security' },
    });
  }

  /** The environment. With secrets in it, what the runtime writes of it goes to memory instead of the disk. */
  private async withSecrets(id: string, folder: string, request: SandboxRequest): Promise<readonly string[]> {
    const { secretEnv } = request;
    const { env } = request.process;
    if (secretEnv === undefined || secretEnv.size === 0) return env;
    const bundle = join(await this.memory(folder), 'bundle');
    const link = scopePaths.bundle(this.deps.scope, id);
    await mkdir(bundle, { mode: 0o711 });
    await mkdir(join(link, '..'), { recursive: true, mode: 0o711 });
    await symlink(bundle, link);
    const others = env.filter((entry) => !secretEnv.has(entry.slice(0, entry.indexOf('='))));
    return [...others, ...[...secretEnv].map(([name, value]) => `${name}=${value}`)];
  }

  /** A folder of the run that is in memory only, and goes with its mount. */
  private async memory(folder: string): Promise<string> {
    const path = join(folder, 'memory');
    if ((await mountPoints()).includes(path)) return path;
    await mkdir(path, { recursive: true, mode: 0o700 });
    await mustRun('mount', ['-t', 'tmpfs', '-o', 'size=32m,mode=711,nosuid,nodev,noexec', 'tmpfs', path]);
    return path;
  }

  private async mount(
    layers: readonly Layer[],
    target: string,
    writable?: { readonly upper: string; readonly work: string },
  ): Promise<void> {
    const names = await Promise.all(layers.map((layer) => this.deps.layers.ensure(layer)));
    await mountOverlay({
      directory: this.deps.layers.directory,
      // A layer that occurs twice changes nothing the second time, and overlayfs refuses it.
      lowers: [...new Set(names.reverse())],
      target,
      ...writable,
    });
  }

  /** The working folder is made when the image has none, as docker does. */
  private async makeWorkdir(rootfs: string, request: SandboxRequest): Promise<void> {
    const path = request.lower.resolve(request.process.cwd);
    await mkdir(join(rootfs, path), { recursive: true, mode: 0o755 });
  }

  private async mounts(
    request: SandboxRequest,
    folder: string,
    releases: (() => Promise<void>)[],
  ): Promise<RuntimeMount[]> {
    const mounts: RuntimeMount[] = [];
    for (const [i, mount] of request.mounts.entries()) {
      const place = join(folder, 'mounts', String(i));
      mounts.push(await this.runtimeMount(mount, { folder, place, signal: request.signal, releases }));
    }
    return mounts;
  }

  private async runtimeMount(
    mount: SandboxMount,
    run: {
      readonly folder: string;
      /** Where what the mount needs is kept. */
      readonly place: string;
      readonly signal: AbortSignal;
      readonly releases: (() => Promise<void>)[];
    },
  ): Promise<RuntimeMount> {
    const { place } = run;
    const destination = mount.target;
    switch (mount.type) {
      case 'tmpfs':
        return { destination, type: 'tmpfs', ...(mount.sizeBytes === undefined ? {} : { sizeBytes: mount.sizeBytes }) };
      case 'cache': {
        const cache = await this.caches.take(mount, (folder) => this.fill(folder, mount, place), run.signal);
        run.releases.push(cache.release);
        return { destination, type: 'bind', source: cache.path, readonly: mount.readonly };
      }
      case 'secret': {
        const source = join(await this.memory(run.folder), randomBytes(8).toString('hex'));
        await writeFile(source, mount.content, { mode: 0o600, flag: 'wx' });
        await chown(source, mount.uid, mount.gid);
        await chmod(source, mount.mode);
        return { destination, type: 'bind', source, readonly: true };
      }
      case 'file': {
        await mkdir(place, { recursive: true });
        const source = join(place, 'file');
        await writeFile(source, mount.content, { mode: mount.mode });
        return { destination, type: 'bind', source, readonly: true };
      }
      case 'layers': {
        const target = join(place, 'root');
        const plain = mount.readonly && mount.layers.length > 0;
        await this.mount(
          mount.layers,
          target,
          plain ? undefined : { upper: join(place, 'upper'), work: join(place, 'work') },
        );
        return { destination, type: 'bind', source: join(target, mount.path), readonly: mount.readonly };
      }
      default:
        return mount satisfies never;
    }
  }

  /** The first content of a cache that has a base. */
  private async fill(folder: string, { base }: SandboxMount & { type: 'cache' }, place: string): Promise<void> {
    if (base === undefined || base.layers.length === 0) return;
    const root = join(place, 'base');
    await this.mount(base.layers, root);
    await mustRun('cp', ['-a', '--', `${join(root, base.path)}/.`, folder], { timeoutMs: 10 * 60_000 });
    await unmountOverlay(root);
  }

  private async network(
    id: string,
    network: SandboxRequest['network'],
  ): Promise<{ readonly mode: NetworkMode; readonly address?: string }> {
    if (network === 'none') return { mode: { mode: 'none' } };
    if (network === 'host') {
      if (this.options.allowHostNetwork === true) return { mode: { mode: 'host' } };
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
    // What a killed process left of the runtime's files; a link, when they are in memory.
    await rm(scopePaths.bundle(this.deps.scope, id), { recursive: true, force: true });
    await rm(scopePaths.etc(this.deps.scope, id), { recursive: true, force: true });
    const mounted = (await mountPoints()).filter((path) => path.startsWith(`${folder}/`));
    for (const path of mounted.reverse()) await unmountOverlay(path);
    await rm(folder, { recursive: true, force: true });
  }
}

/** Capabilities that this process itself does not have, and so cannot give. */
async function missingCapabilities(): Promise<readonly string[]> {
  const bits = /^CapBnd:\s*([0-9a-f]+)$/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1];
  if (bits === undefined) return [];
  const mask = BigInt(`0x${bits}`);
  // They come in the kernel's order: the place is the bit.
  return capabilitySet({ privileged: true }).filter((_, i) => ((mask >> BigInt(i)) & 1n) === 0n);
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
    yield { entry: own ? { ...entry, mtimeSeconds: timeSeconds } : entry, body };
  }
}
