/**
 * Reads contents out of layer blobs by their place in the uncompressed tar. A compressed blob can only be read from its
 * beginning, so one stream for each layer is kept open and moved forward: contents asked for in the order of the tar
 * cost one pass. A layer that is asked for in another order is unpacked into one temporary file after a few rewinds,
 * and read from there.
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError } from '../../errors/index.js';
import { layerCompression } from '../../oci/index.js';
import { ByteCursor } from '../tar/byte-cursor.js';
import type { LayerDescriptor } from './layer-index.js';
import { type LayerContent, openLayer } from './layer-reader.js';

export interface BodyPlace {
  readonly layer: LayerDescriptor;
  /** Of the first byte of content in the uncompressed tar. */
  readonly offset: number;
}

/** Passing over so much costs less than asking a remote store again. */
const WORTH_PASSING_BYTES = 1024 * 1024;
const REWINDS_BEFORE_SPILL = 2;
const PIECE_BYTES = 64 * 1024;
/** Of a layer that is asked for out of its order no more is opened than is read at once; if it goes on from there, more. */
const BACK_BYTES = 64 * 1024;
const MORE = 4;

interface OpenLayer {
  readonly cursor: ByteCursor;
  /** Where in the tar the cursor began. */
  readonly base: number;
  /** And how much it has at most. */
  readonly bytes: number;
}

export class LayerBodies {
  private readonly layers = new Map<string, OpenLayer>();
  private readonly rewinds = new Map<string, number>();
  /** Uncompressed tars of layers. */
  private readonly spilled = new Map<string, FileHandle>();

  /**
   * @param options.temporary where a layer is unpacked to when it must be
   * @param options.reuse a chunk is good only until the next one: all bytes of a large layer, each piece in memory of its
   * own, keep the collector of garbage busy
   */
  constructor(
    private readonly content: LayerContent,
    private readonly options: { readonly temporary?: string | undefined; readonly reuse?: boolean } = {},
  ) {}

  /** One body at a time: it must be read, or its loop left, before the next is asked for. */
  async *read(place: BodyPlace, sizeBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
    if (sizeBytes === 0) return;
    const { cursor, base } = await this.at(place, sizeBytes);
    await cursor.skip(place.offset - base - cursor.offset);
    for (let left = sizeBytes; left > 0;) {
      const chunk = await cursor.some(left);
      if (chunk === undefined) {
        const end = place.offset + sizeBytes;
        throw new AppError('LAYER_CORRUPT', `the layer ${place.layer.digest} ends before byte ${end}`);
      }
      left -= chunk.length;
      yield chunk;
    }
  }

  /** Lets go of all streams and temporary files. */
  async close(): Promise<void> {
    const open = [...this.layers.values()];
    this.layers.clear();
    await Promise.all(open.map((layer) => layer.cursor.close()));
    const files = [...this.spilled.values()];
    this.spilled.clear();
    await Promise.all(files.map((file) => file.close()));
  }

  private async at({ layer, offset }: BodyPlace, sizeBytes: number): Promise<OpenLayer> {
    const known = this.layers.get(layer.digest);
    const ahead = known === undefined ? 0 : offset - known.base - known.cursor.offset;
    const seekable = layerCompression(layer.mediaType) === 'none' || this.spilled.has(layer.digest);
    const isInside = known !== undefined && offset + sizeBytes <= known.base + known.bytes;
    if (isInside && ahead >= 0 && (!seekable || ahead <= WORTH_PASSING_BYTES)) return known;
    await known?.cursor.close();
    if (!seekable && ahead < 0) await this.countRewind(layer);
    const bytes = ahead < 0 ? BACK_BYTES : (known?.bytes ?? Infinity) * MORE;
    const fresh = this.open(layer, offset, Math.max(sizeBytes, bytes));
    this.layers.set(layer.digest, fresh);
    return fresh;
  }

  /** @param bytes of a layer that can be read from anywhere, from the offset on */
  private open(layer: LayerDescriptor, offset: number, bytes: number): OpenLayer {
    const file = this.spilled.get(layer.digest);
    if (file !== undefined) return { cursor: new ByteCursor(bytesFrom(file, offset)), base: offset, bytes: Infinity };
    if (layerCompression(layer.mediaType) !== 'none') {
      return { cursor: new ByteCursor(openLayer(this.content, layer)), base: 0, bytes: Infinity };
    }
    const range = { start: offset, end: Math.min(layer.size, offset + bytes) - 1 };
    return {
      cursor: new ByteCursor(openLayer(this.content, layer, { range, reuse: this.options.reuse === true })),
      base: offset,
      bytes,
    };
  }

  private async countRewind(layer: LayerDescriptor): Promise<void> {
    const rewinds = (this.rewinds.get(layer.digest) ?? 0) + 1;
    this.rewinds.set(layer.digest, rewinds);
    if (rewinds <= REWINDS_BEFORE_SPILL) return;
    const file = await namelessFile(this.options.temporary ?? tmpdir());
    this.spilled.set(layer.digest, file);
    for await (const chunk of openLayer(this.content, layer)) await file.writeFile(chunk);
  }
}

/** Gone with the process, however that ends. */
async function namelessFile(directory: string): Promise<FileHandle> {
  const path = join(directory, `wharf-layer-${randomBytes(8).toString('hex')}`);
  const file = await open(path, 'wx+', 0o600);
  await rm(path);
  return file;
}

async function* bytesFrom(file: FileHandle, start: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let position = start; ;) {
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.allocUnsafe(PIECE_BYTES), position });
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}
