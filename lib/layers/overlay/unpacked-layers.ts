/**
 * UnpackedLayers: layers as folders that overlayfs can take as lower ones, each unpacked once and shared by every
 * container and build step. Names are short because mount options end at 4,096 bytes; whoever mounts does so with
 * `directory` as its working folder. A layer appears whole or not at all, also between several processes: it is
 * unpacked beside and renamed. What was unpacked before the machine last started is dropped, since only a sync would
 * have told whether it reached the disk.
 */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoCode } from '../../errors/index.js';
import { type Digest, Digester, digestHex } from '../../oci/index.js';
import type { Clock } from '../../store/index.js';
import { systemClock } from '../../store/system/clock-system.js';
import { digesting } from '../byte-stream.js';
import { extractTar } from './gnu-tar.js';
import type { LayerDescriptor } from '../stored/layer-index.js';
import { checkDiffId, type LayerContent, openLayer } from '../stored/layer-reader.js';
import { overlayMembers } from './overlay-members.js';
import { readTar } from '../tar/tar-reader.js';
import { writeTar } from '../tar/tar-writer.js';
import { removeTree } from './remove-tree.js';
import { bootId, isAlive, processMark } from './process-mark.js';
import type { TarMember } from '../types.js';

export interface UnpackedLayer {
  readonly diffId: Digest;
  /** Of the folder, inside `directory`. */
  readonly name: string;
  /** Bytes of all contents. */
  readonly sizeBytes: number;
  /** When it was last asked for. */
  readonly usedMs: number;
}

/** So many characters of base 32: 130 bits, and 127 layers fit into the options of one mount. */
const NAME_CHARACTERS = 26;
const TEMPORARY = '.tmp';
const NOTES = '.notes';

export class UnpackedLayers {
  private readonly running = new Map<Digest, Promise<string>>();
  private readonly leaving = new Map<Digest, Promise<boolean>>();

  private constructor(
    private readonly content: LayerContent,
    /** Absolute; the working folder for mounts. */
    readonly directory: string,
    private readonly clock: Clock,
  ) {}

  /** Opens the cache in a folder, and removes what killed processes and earlier starts of the machine left there. */
  static async open(
    deps: { readonly content: LayerContent; readonly clock?: Clock },
    base: string,
  ): Promise<UnpackedLayers> {
    const boot = (await bootId()).slice(0, 8);
    const directory = join(base, boot);
    for (const part of [TEMPORARY, NOTES]) await mkdir(join(directory, part), { recursive: true, mode: 0o700 });
    for (const other of await readdir(base)) {
      if (other !== boot) await removeTree(join(base, other));
    }
    for (const leftover of await readdir(join(directory, TEMPORARY))) {
      if (!(await isAlive(leftover))) await removeTree(join(directory, TEMPORARY, leftover));
    }
    return new UnpackedLayers(deps.content, directory, deps.clock ?? systemClock);
  }

  /**
   * The name of the layer's folder inside `directory`; unpacked now if it is not there yet. Single flight per layer.
   * @throws AppError LAYER_CORRUPT when the blob does not unpack to `diffId`, LAYER_UNSAFE, LAYER_LINK_BROKEN, or those
   * of reading; then nothing is left behind
   */
  async ensure(layer: { readonly descriptor: LayerDescriptor; readonly diffId: Digest }): Promise<string> {
    const running = this.running.get(layer.diffId);
    if (running !== undefined) return running;
    const work = this.find(layer).finally(() => this.running.delete(layer.diffId));
    this.running.set(layer.diffId, work);
    return work;
  }

  /**
   * Takes a folder that holds what unpacking the layer would give. It is moved; where the layer is unpacked already, it stays.
   * @param folder on the file system of `directory`
   */
  async adopt(diffId: Digest, folder: string, sizeBytes: number): Promise<void> {
    await this.leaving.get(diffId)?.catch(() => {});
    const temporary = await this.temporary();
    try {
      await this.appear({ diffId, name: layerName(diffId), sizeBytes }, folder, temporary);
    } finally {
      await removeTree(temporary);
    }
  }

  /** Removes a layer that nothing has mounted. Removing what is not there is fine. */
  async remove(diffId: Digest): Promise<void> {
    const name = layerName(diffId);
    const temporary = await this.temporary();
    try {
      await rename(join(this.directory, name), join(temporary, 'layer'));
    } catch (error) {
      if (errnoCode(error) !== 'ENOENT') throw error;
    } finally {
      await removeTree(temporary);
    }
    await rm(this.note(name), { force: true });
  }

  /**
   * Removes a layer, unless someone of this process has asked for it since then. The caller has seen that nothing has it
   * mounted.
   * @returns whether it was removed
   */
  async evict(diffId: Digest, unusedSinceMs: number): Promise<boolean> {
    if (this.running.has(diffId) || this.leaving.has(diffId)) return false;
    const work = this.removeUnused(diffId, unusedSinceMs).finally(() => this.leaving.delete(diffId));
    this.leaving.set(diffId, work);
    return work;
  }

  private async removeUnused(diffId: Digest, unusedSinceMs: number): Promise<boolean> {
    const note = await this.read(layerName(diffId));
    if (note === undefined || note.usedMs >= unusedSinceMs) return false;
    await this.remove(diffId);
    return true;
  }

  /** The layers that are unpacked now. */
  async list(): Promise<readonly UnpackedLayer[]> {
    const names = (await readdir(this.directory)).filter((name) => !name.startsWith('.')).sort();
    const notes = await Promise.all(names.map((name) => this.read(name)));
    return notes.filter((note) => note !== undefined);
  }

  /** Bytes of contents by layer. */
  async sizes(): Promise<ReadonlyMap<Digest, number>> {
    return new Map((await this.list()).map(({ diffId, sizeBytes }) => [diffId, sizeBytes]));
  }

  private async find(layer: { readonly descriptor: LayerDescriptor; readonly diffId: Digest }): Promise<string> {
    await this.leaving.get(layer.diffId)?.catch(() => {});
    const name = layerName(layer.diffId);
    await this.touch(name);
    if (!(await exists(join(this.directory, name)))) await this.unpack(layer, name);
    return name;
  }

  private async unpack(
    { descriptor, diffId }: { readonly descriptor: LayerDescriptor; readonly diffId: Digest },
    name: string,
  ): Promise<void> {
    const temporary = await this.temporary();
    try {
      const target = join(temporary, 'layer');
      await mkdir(target);
      const digester = new Digester();
      const size = { bytes: 0 };
      const members = overlayMembers(readTar(digesting(openLayer(this.content, descriptor), digester)));
      await extractTar(writeTar(counting(members, size)), target);
      checkDiffId(descriptor, digester.digest(), diffId);
      await chmod(target, 0o755);
      await this.appear({ diffId, name, sizeBytes: size.bytes }, target, temporary);
    } finally {
      await removeTree(temporary);
    }
  }

  /** @param temporary where the note is written */
  private async appear(note: Omit<UnpackedLayer, 'usedMs'>, folder: string, temporary: string): Promise<void> {
    try {
      await writeFile(join(temporary, 'note'), JSON.stringify(note));
      await rename(join(temporary, 'note'), this.note(note.name));
      await rename(folder, join(this.directory, note.name));
    } catch (error) {
      // Another process was faster; its folder has the same bytes.
      if (!LOST_RACE.has(errnoCode(error) ?? '')) throw error;
    }
  }

  private async read(name: string): Promise<UnpackedLayer | undefined> {
    try {
      const { mtimeMs } = await stat(this.note(name));
      const note = JSON.parse(await readFile(this.note(name), 'utf8')) as Omit<UnpackedLayer, 'usedMs'>;
      return { ...note, usedMs: mtimeMs };
    } catch (error) {
      // Removed meanwhile.
      if (errnoCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** The note's time says when the layer was last asked for. */
  private async touch(name: string): Promise<void> {
    const now = new Date(this.clock.nowMs());
    await utimes(this.note(name), now, now).catch((error: unknown) => {
      if (errnoCode(error) !== 'ENOENT') throw error;
    });
  }

  private note(name: string): string {
    return join(this.directory, NOTES, name);
  }

  private async temporary(): Promise<string> {
    const path = join(this.directory, TEMPORARY, `${await processMark()}.${randomBytes(6).toString('hex')}`);
    await mkdir(path, { mode: 0o700 });
    return path;
  }
}

const LOST_RACE = new Set(['ENOTEMPTY', 'EEXIST']);

/** The folder name of a layer: the first 130 bits of its diff id in base 32. */
export function layerName(diffId: Digest): string {
  const bits = BigInt(`0x${digestHex(diffId).slice(0, 33)}`) >> 2n;
  return bits.toString(32).padStart(NAME_CHARACTERS, '0');
}

async function* counting(members: AsyncIterable<TarMember>, size: { bytes: number }): AsyncGenerator<TarMember> {
  for await (const member of members) {
    size.bytes += member.entry.sizeBytes;
    yield member;
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: unknown) => {
      if (errnoCode(error) === 'ENOENT') return false;
      throw error;
    },
  );
}
