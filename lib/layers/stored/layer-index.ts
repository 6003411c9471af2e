/**
 * LayerIndex: all entries of one layer without their content, each with the place of its content in the uncompressed
 * tar. It answers what is in a layer without unpacking it. Serialised as lines of JSON, gzipped: a header, then one
 * line for each entry, so that neither side holds the whole text.
 */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { AppError } from '../../errors/index.js';
import type { Digest } from '../../oci/index.js';
import type { ByteSource } from '../../store/index.js';
import { compress, decompress } from '../compression/compression.js';
import { lineBatches } from '../lines.js';
import { EntryList, type ListedEntry } from '../tree/entry-list.js';
import type { EntryType, LayerEntry } from '../types.js';
import type { BodyPlace } from './layer-bodies.js';

/** The stored blob of a layer. */
export interface LayerDescriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes of the blob. */
  readonly size: number;
}

export interface LayerIndex {
  readonly descriptor: LayerDescriptor;
  readonly diffId: Digest;
  readonly uncompressedBytes: number;
  /** In the order of the tar; marks (whiteouts) included. */
  readonly entries: EntryList;
  /** Where the content of an entry is when it is not in the layer's own blob: in an uncompressed one. Not stored. */
  readonly bodyOf?: (row: number) => BodyPlace;
}

const FORMAT = 'wharf.layer-index.v1';
const LINES_AT_ONCE = 500;

interface IndexHead extends Omit<LayerIndex, 'entries' | 'bodyOf'> {
  readonly format: string;
  readonly entries: number;
}

/** An index as it is stored. */
export interface EncodedIndex {
  readonly diffId: Digest;
  readonly entries: number;
  bytes(): ByteSource;
}

export function encodeIndex(index: LayerIndex): EncodedIndex {
  const { diffId, entries } = index;
  return { diffId, entries: entries.length, bytes: () => compress('gzip')(lines(index)) };
}

async function* lines(index: LayerIndex): ByteSource {
  const { entries } = index;
  yield Buffer.from(headLine(index, entries.length));
  for (let at = 0; at < entries.length; at += LINES_AT_ONCE) {
    let some = '';
    const end = Math.min(at + LINES_AT_ONCE, entries.length);
    for (let row = at; row < end; row += 1) some += entryLine(entries.at(row), entries.bodyOffset(row));
    yield Buffer.from(some);
  }
}

/**
 * The index of a layer that is being written: its lines, compressed as they come, a fifth of what the entries would take.
 * The head is known last and stands first, as a gzip of its own: gzips one after the other are one (RFC 1952, 2.2).
 */
export class IndexLines {
  private readonly pieces: Promise<Uint8Array>[] = [];
  private text = '';
  private count = 0;

  add(entry: LayerEntry, bodyOffset: number): void {
    this.text += entryLine(entry, bodyOffset);
    this.count += 1;
    if (this.count % LINES_AT_ONCE === 0) this.compress();
  }

  /** When all entries have come. */
  end(layer: Omit<LayerIndex, 'entries' | 'bodyOf'>): EncodedIndex {
    this.compress();
    const { pieces, count } = this;
    const bytes = async function* (): ByteSource {
      yield await gzipped(Buffer.from(headLine(layer, count)));
      for (const piece of pieces) yield await piece;
    };
    return { diffId: layer.diffId, entries: count, bytes };
  }

  private compress(): void {
    const piece = gzipped(Buffer.from(this.text));
    // Its failure is met where it is awaited.
    piece.catch(() => {});
    this.pieces.push(piece);
    this.text = '';
  }
}

/** @param bytes no text: what is awaited with grows old, and strings do so in the heap */
async function gzipped(bytes: Uint8Array): Promise<Uint8Array> {
  // In memory of its own: what zlib did not need of its would stay.
  return new Uint8Array(await zipped(bytes));
}

const zipped = promisify<Uint8Array, Buffer>(gzip);

function headLine({ descriptor, diffId, uncompressedBytes }: Omit<LayerIndex, 'entries'>, entries: number): string {
  const head: IndexHead = { format: FORMAT, descriptor, diffId, uncompressedBytes, entries };
  return `${JSON.stringify(head)}\n`;
}

function entryLine(entry: LayerEntry, bodyOffset: number): string {
  return `${JSON.stringify(toJson(entry, bodyOffset))}\n`;
}

/** @throws AppError LAYER_INDEX_INVALID when it is damaged or of another version */
export async function decodeIndex(source: ByteSource): Promise<LayerIndex> {
  let head: IndexHead | undefined;
  const entries = new EntryList();
  const cut = (): AppError => invalid('it is cut short');
  for await (const some of lineBatches(decompress(source, 'gzip'), { cut })) {
    for (const line of some) {
      if (head === undefined) head = headOf(line);
      else entries.push(fromJson(parseLine(line) as IndexLine));
    }
  }
  if (head === undefined || entries.length !== head.entries) throw cut();
  const { descriptor, diffId, uncompressedBytes } = head;
  return { descriptor, diffId, uncompressedBytes, entries };
}

function headOf(line: string): IndexHead {
  const head = parseLine(line) as IndexHead;
  if (head.format !== FORMAT) throw invalid(`it is not ${FORMAT}`);
  return head;
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

function toJson(entry: LayerEntry, bodyOffset: number): IndexLine {
  const { device, xattrs } = entry;
  return {
    p: entry.path,
    t: entry.type,
    m: entry.mode,
    ...(entry.uid === 0 ? {} : { u: entry.uid }),
    ...(entry.gid === 0 ? {} : { g: entry.gid }),
    ...(entry.mtimeSeconds === 0 ? {} : { d: entry.mtimeSeconds }),
    ...(entry.sizeBytes === 0 ? {} : { s: entry.sizeBytes }),
    o: bodyOffset,
    ...(entry.linkTarget === undefined ? {} : { l: entry.linkTarget }),
    ...(device === undefined ? {} : { v: [device.major, device.minor] as const }),
    ...(xattrs === undefined
      ? {}
      : { x: Object.fromEntries([...xattrs].map(([key, value]) => [key, Buffer.from(value).toString('base64')])) }),
  };
}

function fromJson(line: IndexLine): ListedEntry {
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
