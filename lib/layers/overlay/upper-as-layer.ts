/**
 * The upper folder of a RUN as the unpacked folder of its layer: what stands on that RUN can be mounted over it at once, where
 * otherwise all files would be deleted here and unpacked again beside. What the layer has not, as it was copied up for nothing, is
 * taken away, and times are set; then it must hold all that the layer holds, name by name.
 */
import { type Dirent, lutimesSync } from 'node:fs';
import { chmod, chown, lstat, readdir, rmdir, unlink } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { Column } from '../tree/column.js';
import { decodeName, joinPath } from '../tree/path-name.js';
import { PathTable } from '../tree/path-table.js';
import { isWhiteout, whiteoutFor } from '../tree/whiteout.js';
import type { LayerEntry, TarMember } from '../types.js';
import { upperPath } from './upper-scan.js';

/** A layer has them as well, or they are overlayfs's notes about a folder or file that it looks at only in an upper folder. */
const HARMLESS_XATTRS = new Set([
  'security.capability',
  'trusted.overlay.origin',
  'trusted.overlay.impure',
  'trusted.overlay.nlink',
]);
/** So long that the calls of one turn take about a millisecond. */
const NAMES_AT_ONCE = 32;

export class UpperAsLayer {
  /** What the layer holds, and when it was last changed, in seconds. */
  private readonly paths = new PathTable();
  private readonly times = new Column();
  private entries = 0;
  private sizeBytes = 0;
  private hasForeign = false;
  private turn = 0;

  /** To be told of everything that stands in the upper folder, with all its attributes. */
  readonly saw = ({ xattrs }: LayerEntry): void => {
    for (const name of xattrs?.keys() ?? []) if (!HARMLESS_XATTRS.has(name)) this.hasForeign = true;
  };

  /** Lets the members of the layer pass. */
  async *watch(members: AsyncIterable<TarMember>): AsyncGenerator<TarMember, void, undefined> {
    for await (const member of members) {
      const { path, mtimeSeconds, sizeBytes } = member.entry;
      const row = this.paths.add(path);
      this.times.put(row, mtimeSeconds);
      this.entries += 1;
      this.sizeBytes += sizeBytes;
      yield member;
    }
  }

  /**
   * Makes the folder what unpacking the layer would give; all members must have passed.
   * @returns bytes of all contents, as `UnpackedLayers` keeps them; undefined when the folder holds something else, which is then
   * to be thrown away
   */
  async settle(directory: string): Promise<number | undefined> {
    if (this.hasForeign) return undefined;
    const met = await this.folder(directory, '');
    if (met !== this.entries) return undefined;
    // Of the root itself a layer says nothing.
    await chown(directory, 0, 0);
    await chmod(directory, 0o755);
    return this.sizeBytes;
  }

  /** Takes away what the layer has not. @returns how many entries of the layer stand in the folder */
  private async folder(directory: string, path: string): Promise<number> {
    let met = 0;
    for (const entry of await readdir(upperPath(directory, path), { encoding: 'buffer', withFileTypes: true })) {
      const below = joinPath(path, decodeName(entry.name));
      met += entry.isDirectory() ? await this.subfolder(directory, below) : await this.other(directory, below, entry);
    }
    return met;
  }

  private async subfolder(directory: string, path: string): Promise<number> {
    const met = await this.folder(directory, path);
    const row = this.rowOf(path);
    if (row === undefined) {
      // The layer has all folders on the way to what it has, so this one is empty.
      if (met === 0) await rmdir(upperPath(directory, path));
      return met;
    }
    await this.date(directory, path, row);
    return met + 1;
  }

  private async other(directory: string, path: string, entry: Dirent<Buffer>): Promise<number> {
    const isDeletion = entry.isCharacterDevice() && (await lstat(upperPath(directory, path))).rdev === 0;
    const row = isDeletion ? this.paths.find(whiteoutFor(path)) : this.rowOf(path);
    if (row === undefined) {
      await unlink(upperPath(directory, path));
      return 0;
    }
    if (!isDeletion) await this.date(directory, path, row);
    return 1;
  }

  /** Undefined for a name that reads as a whiteout: unpacked, it is one. */
  private rowOf(path: string): number | undefined {
    return isWhiteout(path) ? undefined : this.paths.find(path);
  }

  /** By hand, in short turns: to wait for each of so many calls takes longer than the calls. */
  private async date(directory: string, path: string, row: number): Promise<void> {
    this.turn += 1;
    if (this.turn % NAMES_AT_ONCE === 0) await setImmediate();
    // As a date: Node reads a negative number as the present time.
    const time = new Date(this.times.at(row) * 1000);
    lutimesSync(upperPath(directory, path), time, time);
  }
}
