/**
 * Volumes of a task, with docker's rules: a named volume lives as long as the task, or as the platform when it is
 * shared; a path that the image declares gets one of its own; what the image has at the path is copied into a volume
 * that is still empty. Folders of the host are mounted only where the operator allows it.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { type HostScope, mustRun, resolveInRoot, type RuntimeMount } from '../../runtime/index.js';
import { ContainerFailure } from './container-failure.js';
import type { ContainerPayload, TaskPayload } from './types.js';

export interface VolumeMount {
  readonly path: string;
  readonly source: string;
  readonly readonly: boolean;
}

export interface VolumesOptions {
  /** Folders of the host that may be mounted, with all below. */
  readonly hostPaths: readonly string[];
}

export class TaskVolumes {
  /** One container at a time is looked after: two must not fill the same volume. */
  private queue: Promise<unknown> = Promise.resolve();

  /** @param folder of the task, gone with it */
  constructor(
    private readonly scope: HostScope,
    private readonly folder: string,
    private readonly payload: TaskPayload,
    private readonly options: VolumesOptions,
  ) {}

  /**
   * Makes what the container mounts ready, filled from its own image where that is due.
   * @param rootfs of the container, mounted; nothing runs in it yet
   * @param imageVolumes paths the image declares
   * @param inherited what `volumesFrom` brings; the container's own mounts win
   * @throws ContainerFailure CannotCreateContainerError
   */
  prepare(
    container: ContainerPayload,
    rootfs: string,
    imageVolumes: readonly string[],
    inherited: readonly VolumeMount[],
  ): Promise<readonly VolumeMount[]> {
    const prepared = this.queue.then(async () => {
      const mounts = new Map(inherited.map((mount) => [normal(mount.path), mount]));
      for (const { volume, path, readonly } of container.mountPoints ?? []) {
        const source = await this.open(volume);
        if (!this.isHostFolder(volume)) await fillFromImage(source, rootfs, path);
        mounts.set(normal(path), { path: normal(path), source, readonly });
      }
      for (const path of imageVolumes.map(normal)) {
        if (mounts.has(path)) continue;
        const source = join(this.folder, 'volumes', shortHash(`${container.name}\n${path}`));
        await mkdir(source, { recursive: true });
        await fillFromImage(source, rootfs, path);
        mounts.set(path, { path, source, readonly: false });
      }
      return [...mounts.values()];
    });
    this.queue = prepared.catch(() => undefined);
    return prepared;
  }

  private isHostFolder(name: string): boolean {
    return this.payload.volumes?.find((each) => each.name === name)?.hostPath !== undefined;
  }

  private async open(name: string): Promise<string> {
    const volume = this.payload.volumes?.find((each) => each.name === name);
    if (volume === undefined) throw failure(`the task has no volume ${name}`);
    if (volume.hostPath !== undefined) return this.hostFolder(volume.hostPath);
    const { clusterName } = this.payload;
    const source =
      volume.scope === 'shared'
        ? join(this.scope.directory, 'volumes', shortHash(`${clusterName}\n${name}`))
        : join(this.folder, 'volumes', shortHash(name));
    await mkdir(source, { recursive: true });
    return source;
  }

  /** Looked up with all its links: a link out of an allowed folder leads nowhere. */
  private async hostFolder(path: string): Promise<string> {
    const real = await realpath(path).catch(() => {
      throw failure(`the host has no ${path}`);
    });
    for (const allowed of this.options.hostPaths) {
      const root = await realpath(allowed).catch(() => undefined);
      if (root !== undefined && (real === root || real.startsWith(root === '/' ? '/' : `${root}/`))) return real;
    }
    throw failure(`${path} is not among the folders of the host that tasks may mount`);
  }
}

export function runtimeMount({ path, source, readonly }: VolumeMount): RuntimeMount {
  return { destination: path, type: 'bind', source, readonly };
}

/** Owner and mode of the folder are copied too. Done again when it was cut off before the first file. */
async function fillFromImage(source: string, rootfs: string, path: string): Promise<void> {
  if ((await readdir(source)).length > 0) return;
  const inside = await resolveInRoot(rootfs, path, 'directory');
  if (inside === undefined) return;
  await mustRun('cp', ['--archive', '--', `${join(rootfs, inside)}/.`, `${source}/`], { timeoutMs: 600_000 });
}

function normal(path: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw failure(`${JSON.stringify(path)} cannot be mounted at: it goes upwards`);
  return `/${parts.join('/')}`;
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 24);
}

function failure(message: string): ContainerFailure {
  return new ContainerFailure('CannotCreateContainerError', message);
}
