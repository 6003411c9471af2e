/**
 * LayerIndex: all entries of one layer without their content, each with the place of its content in the uncompressed
 * tar. It answers what is in a layer without unpacking it. Serialised as lines of JSON, gzipped: a header, then one
 * line for each entry, so that neither side holds the whole text.
 */
import { AppError } from '../../errors/index.js';
import type { Digest } from '../../oci/index.js';
import type { ByteSource } from '../../store/index.js';
import { compress, decompress } from '../compression/compression.js';
import { copyRare, type Unfinished } from '../tree/copy-entry.js';
import { splitLines } from '../lines.js';
import type { EntryType, LayerEntry } from '../types.js';

/** The stored blob of a layer. */
export interface LayerDescriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes of the blob. */
  readonly size: number;
}

export interface IndexedEntry extends LayerEntry {
  /** Of the first byte of content in the uncompressed tar. */
  readonly bodyOffset: number;
  /** Where the content is when it is not in the layer's own blob: an uncompressed one. Not in a stored index. */
  readonly elsewhere?: LayerDescriptor;
  /** What makes the file one, when its place does not: several files may have one content. Not in a stored index. */
  readonly inode?: string;
}

/** @param known of the file, where its place in the tar does not say it */
export function indexedEntry(
  entry: LayerEntry,
  bodyOffset: number,
  known: { readonly inode?: string | undefined; readonly elsewhere?: LayerDescriptor | undefined } = NOTHING,
): IndexedEntry {
  const { path, type, mode, uid, gid, mtimeSeconds, sizeBytes } = entry;
  const copy: Unfinished<IndexedEntry> = { path, type, mode, uid, gid, mtimeSeconds, sizeBytes, bodyOffset };
  if (known.inode !== undefined) copy.inode = known.inode;
  if (known.elsewhere !== undefined) copy.elsewhere = known.elsewhere;
  copyRare(copy, entry);
  return copy;
}

const NOTHING = {};

export interface LayerIndex {
  readonly descriptor: LayerDescriptor;
  readonly diffId: Digest;
  readonly uncompressedBytes: number;
  /** In the order of the tar; marks (whiteouts) included. */
  readonly entries: readonly IndexedEntry[];
}

const FORMAT = 'wharf.layer-index.v1';
const LINES_AT_ONCE = 500;

interface IndexHead extends Omit<LayerIndex, 'entries'> {
  readonly format: string;
  readonly entries: number;
}

export function encodeIndex(index: LayerIndex): ByteSource {
  return compress('gzip')(lines(index));
}

async function* lines(index: LayerIndex): ByteSource {
  const { descriptor, diffId, uncompressedBytes, entries } = index;
  yield Buffer.from(
    `${JSON.stringify({ format: FORMAT, descriptor, diffId, uncompressedBytes, entries: entries.length })}\n`,
  );
  for (let at = 0; at < entries.length; at += LINES_AT_ONCE) {
    const some = entries.slice(at, at + LINES_AT_ONCE);
    yield Buffer.from(some.map((entry) => `${JSON.stringify(toJson(entry))}\n`).join(''));
  }
}

/** @throws AppError LAYER_INDEX_INVALID when it is damaged or of another version */
export async function decodeIndex(source: ByteSource): Promise<LayerIndex> {
  let head: IndexHead | undefined;
  const entries: IndexedEntry[] = [];
  for await (const line of splitLines(decompress(source, 'gzip'), () => invalid('it is cut short'))) {
    if (head !== undefined) {
      entries.push(fromJson(parseLine(line) as IndexLine));
      continue;
    }
    const first = parseLine(line) as IndexHead;
    if (first.format !== FORMAT) throw invalid(`it is not ${FORMAT}`);
    head = first;
  }
  if (head === undefined || entries.length !== head.entries) throw invalid('it is cut short');
  const { descriptor, diffId, uncompressedBytes } = head;
  return { descriptor, diffId, uncompressedBytes, entries };
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw invalid('a line is not JSON');
  }
}

function invalid(problem: string): AppError {
  return new AppError('LAYER_INDEX_INVALID', `layer index: ${problem}`, { kind: 'internal' });
}

/** Short keys: an index of a large image has hundreds of thousands of lines. */
interface IndexLine {
  readonly p: string;
  readonly t: EntryType;
  readonly m: number;
  readonly u?: number;
  readonly g?: number;
  readonly d?: number;
  readonly s?: number;
  readonly o: number;
  readonly l?: string;
  readonly v?: readonly [number, number];
  readonly x?: Readonly<Record<string, string>>;
}

function toJson(entry: IndexedEntry): IndexLine {
  const { device, xattrs } = entry;
  return {
    p: entry.path,
    t: entry.type,
    m: entry.mode,
    ...(entry.uid === 0 ? {} : { u: entry.uid }),
    ...(entry.gid === 0 ? {} : { g: entry.gid }),
    ...(entry.mtimeSeconds === 0 ? {} : { d: entry.mtimeSeconds }),
    ...(entry.sizeBytes === 0 ? {} : { s: entry.sizeBytes }),
    o: entry.bodyOffset,
    ...(entry.linkTarget === undefined ? {} : { l: entry.linkTarget }),
    ...(device === undefined ? {} : { v: [device.major, device.minor] as const }),
    ...(xattrs === undefined
      ? {}
      : { x: Object.fromEntries([...xattrs].map(([key, value]) => [key, Buffer.from(value).toString('base64')])) }),
  };
}

function fromJson(line: IndexLine): IndexedEntry {
  return {
    path: line.p,
    type: line.t,
    mode: line.m,
    uid: line.u ?? 0,
    gid: line.g ?? 0,
    mtimeSeconds: line.d ?? 0,
    sizeBytes: line.s ?? 0,
    bodyOffset: line.o,
    ...(line.l === undefined ? {} : { linkTarget: line.l }),
    ...(line.v === undefined ? {} : { device: { major: line.v[0], minor: line.v[1] } }),
    ...(line.x === undefined
      ? {}
      : {
          xattrs: new Map(
            Object.entries(line.x).map(([key, value]) => [key, Uint8Array.from(Buffer.from(value, 'base64'))]),
          ),
        }),
  };
}
