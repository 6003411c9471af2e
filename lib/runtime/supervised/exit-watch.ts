/**
 * The folder in which a supervisor leaves each container's exit code, as one small file that appears whole. Survives
 * any restart of ours: what ended meanwhile lies there.
 */
import { existsSync, type FSWatcher, watch } from 'node:fs';
import { mkdir, readFile, rm, stat } from 'node:fs/promises';
import { errnoCode } from '../../errors/index.js';
import { scopePaths } from '../host/host-scope.js';
import type { HostScope } from '../types.js';

export interface ContainerExit {
  /** 128 + n when signal n ended the process; absent when nobody saw the end. */
  readonly exitCode?: number;
  readonly timeMs: number;
}

export class ExitWatch {
  private watcher: FSWatcher | undefined;
  private readonly waiting = new Map<string, Set<() => void>>();

  constructor(private readonly scope: HostScope) {}

  async read(id: string): Promise<ContainerExit | undefined> {
    const path = scopePaths.exitFile(this.scope, id);
    if (!existsSync(path)) return undefined;
    try {
      const code = Number(await readFile(path, 'utf8'));
      return { exitCode: code, timeMs: Math.round((await stat(path)).mtimeMs) };
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  async forget(id: string): Promise<void> {
    const path = scopePaths.exitFile(this.scope, id);
    // Most are new and have none.
    if (existsSync(path)) await rm(path, { force: true });
  }

  /** Calls back whenever something happens to the container's exit file. Returns the way to stop. */
  async onChange(id: string, callback: () => void): Promise<() => void> {
    const directory = scopePaths.exits(this.scope);
    await mkdir(directory, { recursive: true });
    if (this.watcher === undefined) {
      this.watcher = watch(directory, { persistent: false }, (_, name) => {
        for (const call of this.waiting.get(name ?? '') ?? []) call();
      });
      // A lost watch is no loss: whoever waits also looks from time to time.
      this.watcher.on('error', () => this.close());
    }
    const calls = this.waiting.get(id) ?? new Set();
    this.waiting.set(id, calls.add(callback));
    return () => {
      calls.delete(callback);
      if (calls.size === 0) this.waiting.delete(id);
    };
  }

  close(): void {
    this.watcher?.close();
    this.watcher = undefined;
  }
}
