/**
 * Where the segments of layers lie in their blobs, kept for layers we wrote: a blob for each, found by a record
 * `LAYER#<diff id>` / `SEGMENTS`. Only a memory: without it a layer is compressed as a whole, to the same bytes.
 */
import { crc32 } from 'node:zlib';
import { type Digest, MediaType } from '../../oci/index.js';
import type { ContentStore, RecordKey, RecordStore } from '../../store/index.js';
import { LayerBodies } from './layer-bodies.js';
import type { ReadSegment, Segment, SegmentSource } from './segmented-gzip.js';

export interface LayerSegments {
  /** What made the compressed bytes. */
  readonly coder: string;
  readonly blob: { readonly digest: Digest; readonly size: number };
  readonly segments: readonly Segment[];
}

export interface LayerSegmentsRecord {
  readonly blob: Digest;
}

export interface OpenSegments extends SegmentSource {
  close(): Promise<void>;
}

const FORMAT = 'wharf.layer-segments.v1';
/** Of a layer that nobody made anew for so long, the next one is compressed as a whole. */
const KEEP_MS = 90 * 24 * 3600 * 1000;
const MAX_BYTES = 64 * 1024 * 1024;
const keyOf = (diffId: Digest): RecordKey => ({ partition: `LAYER#${diffId}`, sort: 'SEGMENTS' });
const holderOf = (diffId: Digest): string => `LAYER#${diffId}/SEGMENTS`;

export class LayerSegmentStore {
  constructor(private readonly deps: { readonly content: ContentStore; readonly records: RecordStore }) {}

  async put(diffId: Digest, { coder, blob, segments }: LayerSegments): Promise<void> {
    const lines = segments.map(({ sha256, offset, length, crc }) => [sha256, offset, length, crc]);
    const document = { format: FORMAT, coder, blob, segments: lines };
    const { digest } = await this.deps.content.putBytes(Buffer.from(JSON.stringify(document)));
    await this.deps.content.hold(digest, holderOf(diffId), { forMs: KEEP_MS });
    const record: LayerSegmentsRecord = { blob: digest };
    await this.deps.records.put(keyOf(diffId), record);
  }

  /** The compressed segments of a layer, to take from; undefined when they are not known, or were made otherwise. */
  async open(diffId: Digest, coder: string): Promise<OpenSegments | undefined> {
    const { content, records } = this.deps;
    const record = await records.get<LayerSegmentsRecord>(keyOf(diffId));
    const bytes = record === undefined ? undefined : await content.read(record.value.blob, MAX_BYTES);
    const known = bytes === undefined ? undefined : decode(bytes);
    if (known === undefined || known.coder !== coder) return undefined;
    // Under lease from here on, so that it does not go while it is read.
    if ((await content.stat(known.blob.digest)) === undefined) return undefined;
    return new BlobSegments(new LayerBodies(content, { reuse: true }), known);
  }
}

class BlobSegments implements OpenSegments {
  private readonly segments: ReadonlyMap<string, Segment>;

  constructor(
    private readonly bodies: LayerBodies,
    private readonly known: LayerSegments,
  ) {
    this.segments = new Map(known.segments.map((segment) => [segment.sha256, segment]));
  }

  has(sha256: string): boolean {
    return this.segments.has(sha256);
  }

  async read(sha256: string): Promise<ReadSegment | undefined> {
    const segment = this.segments.get(sha256);
    if (segment === undefined) return undefined;
    const { digest, size } = this.known.blob;
    // As it lies there: the compressed bytes.
    const place = { layer: { mediaType: MediaType.ociLayer, digest, size }, offset: segment.offset };
    const bytes = new Uint8Array(segment.length);
    let filled = 0;
    for await (const chunk of this.bodies.read(place, segment.length)) {
      bytes.set(chunk, filled);
      filled += chunk.length;
    }
    return crc32(bytes) === segment.crc ? { bytes, crc: segment.crc } : undefined;
  }

  close(): Promise<void> {
    return this.bodies.close();
  }
}

function decode(bytes: Buffer): LayerSegments | undefined {
  const { format, coder, blob, segments } = JSON.parse(bytes.toString('utf8')) as {
    readonly format?: string;
    readonly coder: string;
    readonly blob: { readonly digest: Digest; readonly size: number };
    readonly segments: readonly (readonly [string, number, number, number])[];
  };
  if (format !== FORMAT) return undefined;
  return { coder, blob, segments: segments.map(([sha256, offset, length, crc]) => ({ sha256, offset, length, crc })) };
}
