/**
 * Folders of `RUN --mount=type=cache`, on one machine: found by id, kept between builds. `shared` gives everybody the
 * same folder, `locked` one after the other, `private` another folder to whoever comes while one is in use.
 */
import { createHash } from 'node:crypto';
import { chmod, chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoCode } from '../errors/index.js';
import type { SandboxMount } from './sandbox.js';

type CacheMount = SandboxMount & { readonly type: 'cache' };

export class CacheFolders {
  private readonly inUse = new Set<string>();
  /** Whoever waits for a locked folder. */
  private readonly waiting = new Map<string, (() => void)[]>();

  constructor(private readonly directory: string) {}

  /** The folder, until it is released. @throws the signal's reason while waiting */
  async take(mount: CacheMount, signal: AbortSignal): Promise<{ readonly path: string; readonly release: () => void }> {
    const base = createHash('sha256').update(mount.id).digest('hex').slice(0, 32);
    let name = base;
    if (mount.sharing === 'locked') await this.lock(base, signal);
    if (mount.sharing === 'private') {
      for (let n = 1; this.inUse.has(name); n++) name = `${base}-${n}`;
    }
    if (mount.sharing !== 'shared') this.inUse.add(name);
    const release = (): void => {
      if (mount.sharing === 'shared') return;
      this.inUse.delete(name);
      this.waiting.get(name)?.shift()?.();
    };
    try {
      return { path: await this.folder(name, mount), release };
    } catch (error) {
      release();
      throw error;
    }
  }

  private async lock(name: string, signal: AbortSignal): Promise<void> {
    while (this.inUse.has(name)) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        const queue = this.waiting.get(name) ?? [];
        this.waiting.set(name, [...queue, resolve]);
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    signal.throwIfAborted();
  }

  private async folder(name: string, mount: CacheMount): Promise<string> {
    await mkdir(this.directory, { recursive: true, mode: 0o711 });
    const path = join(this.directory, name);
    try {
      await mkdir(path);
    } catch (error) {
      if (errnoCode(error) !== 'EEXIST') throw error;
      return path;
    }
    await chown(path, mount.uid, mount.gid);
    await chmod(path, mount.mode);
    return path;
  }
}
