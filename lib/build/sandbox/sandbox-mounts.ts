/**
 * What `RUN --mount=…` needs on one Linux machine while a command runs: layers mounted beside the root, cache folders
 * taken, secrets and agents in memory. All of it lies in the run's folder or is given back by `release`.
 */
import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../errors/index.js';
import type { UnpackedLayers } from '../../layers/index.js';
import { mountOverlay, mountPoints, mustRun, type RuntimeMount, unmountOverlay } from '../../runtime/index.js';
import { openFolderBelow } from './open-folder.js';
import type { CacheFolders } from './sandbox-cache.js';
import type { SandboxMount } from './sandbox.js';
import { startSshAgent } from './ssh-agent.js';
import type { Layer } from '../plan/steps.js';

export interface RunMountsDeps {
  readonly layers: UnpackedLayers;
  readonly caches: CacheFolders;
}

export class RunMounts {
  private readonly agents: (() => Promise<void>)[] = [];
  private readonly caches: (() => Promise<void>)[] = [];

  constructor(
    private readonly deps: RunMountsDeps,
    /** Of the run. */
    private readonly folder: string,
    private readonly signal: AbortSignal,
  ) {}

  async prepare(mounts: readonly SandboxMount[]): Promise<RuntimeMount[]> {
    const prepared: RuntimeMount[] = [];
    for (const [i, mount] of mounts.entries()) {
      prepared.push(await this.prepareOne(mount, join(this.folder, 'mounts', String(i))));
    }
    return prepared;
  }

  /** A folder of the run that is in memory only, and goes with its mount. */
  async memory(): Promise<string> {
    const path = join(this.folder, 'memory');
    if ((await mountPoints()).includes(path)) return path;
    await mkdir(path, { recursive: true, mode: 0o700 });
    await mustRun('mount', ['-t', 'tmpfs', '-o', 'size=32m,mode=711,nosuid,nodev,noexec', 'tmpfs', path]);
    return path;
  }

  /** Before the folder is cleared: their sockets would hold it. */
  async stopAgents(): Promise<void> {
    for (const stop of this.agents.splice(0)) await stop();
  }

  /** After the folder was cleared: nobody else may have a cache that is still mounted. */
  async releaseCaches(): Promise<void> {
    for (const release of this.caches.splice(0)) await release();
  }

  /** @param place where what the mount needs is kept */
  private async prepareOne(mount: SandboxMount, place: string): Promise<RuntimeMount> {
    const destination = mount.target;
    switch (mount.type) {
      case 'tmpfs':
        return { destination, type: 'tmpfs', ...(mount.sizeBytes === undefined ? {} : { sizeBytes: mount.sizeBytes }) };
      case 'cache': {
        const cache = await this.deps.caches.take(mount, (folder) => this.fill(folder, mount, place), this.signal);
        this.caches.push(cache.release);
        const source = await this.subfolder(cache.path, mount, place);
        return { destination, type: 'bind', source, readonly: mount.readonly };
      }
      case 'secret': {
        const source = join(await this.memory(), randomBytes(8).toString('hex'));
        await writeFile(source, mount.content, { mode: 0o600, flag: 'wx' });
        await chown(source, mount.uid, mount.gid);
        await chmod(source, mount.mode);
        return { destination, type: 'bind', source, readonly: true };
      }
      case 'ssh': {
        const directory = join(await this.memory(), randomBytes(8).toString('hex'));
        const agent = await startSshAgent({ ...mount, directory });
        this.agents.push(agent.stop);
        return { destination, type: 'bind', source: agent.socket, readonly: true };
      }
      case 'file': {
        await mkdir(place, { recursive: true });
        const source = join(place, 'file');
        await writeFile(source, mount.content, { mode: mount.mode });
        return { destination, type: 'bind', source, readonly: true };
      }
      case 'layers':
        return this.layers(mount, place);
      default:
        return mount satisfies never;
    }
  }

  private async layers(mount: SandboxMount & { readonly type: 'layers' }, place: string): Promise<RuntimeMount> {
    const target = join(place, 'root');
    const plain = mount.readonly && mount.layers.length > 0;
    const writable = { upper: join(place, 'upper'), work: join(place, 'work') };
    await mountLayers(this.deps.layers, mount.layers, target, plain ? undefined : writable);
    const source = join(target, mount.path);
    return { destination: mount.target, type: 'bind', source, readonly: mount.readonly };
  }

  /** A cache holds what any RUN left there, and others write to it meanwhile: links are refused, the folder is mounted. */
  private async subfolder(
    cache: string,
    { id, subfolder }: SandboxMount & { readonly type: 'cache' },
    place: string,
  ): Promise<string> {
    if (subfolder === undefined) return cache;
    const folder = await openFolderBelow(cache, subfolder);
    if (folder === undefined) {
      throw new AppError('BUILD_MOUNT_SOURCE_MISSING', `the cache ${JSON.stringify(id)} has no folder ${subfolder}`, {
        kind: 'not-found',
        hint: 'make it in a RUN before; links are not followed',
      });
    }
    try {
      await mkdir(place, { recursive: true });
      // Not by a name that mount would look up again.
      await mustRun('mount', ['--no-canonicalize', '--bind', folder.path, place]);
    } finally {
      await folder.close();
    }
    return place;
  }

  /** The first content of a cache that has a base. */
  private async fill(
    folder: string,
    { base }: SandboxMount & { readonly type: 'cache' },
    place: string,
  ): Promise<void> {
    if (base === undefined || base.layers.length === 0) return;
    const root = join(place, 'base');
    await mountLayers(this.deps.layers, base.layers, root);
    await mustRun('cp', ['-a', '--', `${join(root, base.path)}/.`, folder], { timeoutMs: 10 * 60_000 });
    await unmountOverlay(root);
  }
}

/** The folders of the layers, from the bottom up; unpacked now where they are not. */
export async function unpackedNames(unpacked: UnpackedLayers, layers: readonly Layer[]): Promise<string[]> {
  return Promise.all(layers.map((layer) => unpacked.ensure(layer)));
}

export async function mountLayers(
  unpacked: UnpackedLayers,
  layers: readonly Layer[],
  target: string,
  writable?: { readonly upper: string; readonly work: string },
): Promise<void> {
  const names = await unpackedNames(unpacked, layers);
  await mountOverlay({
    directory: unpacked.directory,
    // A layer that occurs twice changes nothing the second time, and overlayfs refuses it.
    lowers: [...new Set(names.reverse())],
    target,
    ...writable,
  });
}
