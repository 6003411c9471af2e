/**
 * Folders of `RUN --mount=type=cache`, on one machine: found by id, kept between builds. `shared` gives everybody the
 * same folder, `locked` one after the other, `private` another folder to whoever comes while one is in use; both hold
 * among all processes that use the directory. A folder appears whole or not at all.
 */
import { createHash, randomBytes } from 'node:crypto';
import { access, chmod, chown, mkdir, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { removeTree } from '../../layers/index.js';
import { takeFileLock } from './file-lock.js';
import type { SandboxMount } from './sandbox.js';

/** Made beside the others, and renamed when it is whole. */
const UNFINISHED = /^\.(.+)-[0-9a-f]{8}$/;
const NEVER_STOPPED = new AbortController().signal;

type CacheMount = SandboxMount & { readonly type: 'cache' };

export interface TakenCache {
  readonly path: string;
  readonly release: () => Promise<void>;
}

export class CacheFolders {
  constructor(private readonly directory: string) {}

  /**
   * The folder, until it is released.
   * @param fill puts the first content into a new folder that has a base
   * @throws the signal's reason while waiting
   */
  async take(mount: CacheMount, fill: (folder: string) => Promise<void>, signal: AbortSignal): Promise<TakenCache> {
    await mkdir(this.directory, { recursive: true, mode: 0o711 });
    const base = nameOf(mount);
    const { name, release } = await this.lock(base, mount.sharing, signal);
    try {
      return { path: await this.folder(name, mount, fill, signal), release };
    } catch (error) {
      await release();
      throw error;
    }
  }

  /** Takes away folders that were being made when their process died. */
  async sweep(): Promise<void> {
    if (!(await exists(this.directory))) return;
    for (const entry of await readdir(this.directory)) {
      const name = UNFINISHED.exec(entry)?.[1];
      if (name === undefined) continue;
      // Whoever is at it holds this lock.
      const done = await takeFileLock(join(this.directory, `${name}.new`), false, NEVER_STOPPED);
      if (done === undefined) continue;
      await removeTree(join(this.directory, entry));
      await done();
    }
  }

  private async lock(
    base: string,
    sharing: CacheMount['sharing'],
    signal: AbortSignal,
  ): Promise<{ name: string; release: () => Promise<void> }> {
    if (sharing === 'shared') return { name: base, release: async () => undefined };
    for (let n = 0; ; n++) {
      const name = n === 0 ? base : `${base}-${n}`;
      const release = await takeFileLock(join(this.directory, `${name}.lock`), sharing === 'locked', signal);
      if (release !== undefined) return { name, release };
    }
  }

  private async folder(
    name: string,
    mount: CacheMount,
    fill: (folder: string) => Promise<void>,
    signal: AbortSignal,
  ): Promise<string> {
    const path = join(this.directory, name);
    if (await exists(path)) return path;
    // Whoever finds none at the same moment waits, and has the same folder then: a second one would take its place.
    const done = await takeFileLock(join(this.directory, `${name}.new`), true, signal);
    try {
      if (!(await exists(path))) await this.make(path, name, mount, fill);
      return path;
    } finally {
      await done?.();
    }
  }

  private async make(
    path: string,
    name: string,
    mount: CacheMount,
    fill: (folder: string) => Promise<void>,
  ): Promise<void> {
    const fresh = join(this.directory, `.${name}-${randomBytes(4).toString('hex')}`);
    try {
      await mkdir(fresh);
      if (mount.base === undefined) {
        await chown(fresh, mount.uid, mount.gid);
        await chmod(fresh, mount.mode);
      } else await fill(fresh);
      await rename(fresh, path);
    } catch (error) {
      await removeTree(fresh);
      throw error;
    }
  }
}

function nameOf({ id, base, mode, uid, gid }: CacheMount): string {
  const hash = createHash('sha256').update(id);
  // As with BuildKit, begun for another user or from other files it is another cache.
  const isPlain = mode === 0o755 && uid === 0 && gid === 0;
  if (base === undefined && !isPlain) hash.update(`\0${mode} ${uid} ${gid}`);
  if (base !== undefined) hash.update(`\0${base.path}\0${base.layers.map(({ diffId }) => diffId).join(' ')}`);
  return hash.digest('hex').slice(0, 32);
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
