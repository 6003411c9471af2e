/**
 * Reads contents out of layer blobs by their place in the uncompressed tar. A compressed blob can only be read from its
 * beginning, so one stream for each layer is kept open and moved forward: contents asked for in the order of the tar
 * cost one pass.
 */
import { AppError } from '../errors/index.js';
import { layerCompression } from '../oci/index.js';
import { ByteCursor } from './byte-cursor.js';
import type { LayerDescriptor } from './layer-index.js';
import { type LayerContent, openLayer } from './layer-reader.js';

export interface BodyPlace {
  readonly layer: LayerDescriptor;
  /** Of the first byte of content in the uncompressed tar. */
  readonly offset: number;
}

/** Passing over so much costs less than asking a remote store again. */
const WORTH_PASSING_BYTES = 1024 * 1024;

interface OpenLayer {
  readonly cursor: ByteCursor;
  /** Where in the tar the cursor began. */
  readonly base: number;
}

export class LayerBodies {
  private readonly layers = new Map<string, OpenLayer>();

  constructor(private readonly content: LayerContent) {}

  /** One body at a time: it must be read, or its loop left, before the next is asked for. */
  async *read(place: BodyPlace, sizeBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
    if (sizeBytes === 0) return;
    const { cursor, base } = await this.at(place);
    await cursor.skip(place.offset - base - cursor.offset);
    for (let left = sizeBytes; left > 0;) {
      const chunk = await cursor.some(left);
      if (chunk === undefined) {
        throw new AppError(
          'LAYER_CORRUPT',
          `the layer ${place.layer.digest} ends before byte ${place.offset + sizeBytes}`,
        );
      }
      left -= chunk.length;
      yield chunk;
    }
  }

  async close(): Promise<void> {
    const open = [...this.layers.values()];
    this.layers.clear();
    await Promise.all(open.map((layer) => layer.cursor.close()));
  }

  private async at({ layer, offset }: BodyPlace): Promise<OpenLayer> {
    const seekable = layerCompression(layer.mediaType) === 'none';
    const known = this.layers.get(layer.digest);
    const ahead = known === undefined ? -1 : offset - known.base - known.cursor.offset;
    if (known !== undefined && ahead >= 0 && (!seekable || ahead <= WORTH_PASSING_BYTES)) return known;
    await known?.cursor.close();
    const range = seekable ? { start: offset, end: layer.size - 1 } : undefined;
    const fresh = { cursor: new ByteCursor(openLayer(this.content, layer, range)), base: seekable ? offset : 0 };
    this.layers.set(layer.digest, fresh);
    return fresh;
  }
}
