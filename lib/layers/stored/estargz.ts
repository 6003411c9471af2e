/**
 * eStargz (stargz-snapshotter, docs/estargz.md there): a gzip of one member for each piece of each file, so that one can be
 * read without those before it, with the list of them at the end and a footer that says where that begins. What reads
 * gzip reads it as the same tar, and then one more file behind that tar's end.
 */
import { createHash, type Hash } from 'node:crypto';
import { AppError } from '../../errors/index.js';
import { type Digest, Digester, digestOf } from '../../oci/index.js';
import type { ByteSource } from '../../store/index.js';
import { gzip, gzipTrailer, storedHeader } from '../compression/gzip.js';
import { paddingOf } from '../tar/tar-format.js';
import { encodeHeader, writeTar } from '../tar/tar-writer.js';
import type { LayerEntry, TarMember } from '../types.js';

export const TOC_NAME = 'stargz.index.json';

/** The library's own; a smaller last piece has no size. */
const PIECE_BYTES = 4 * 1024 * 1024;
const TYPES = {
  file: 'reg',
  directory: 'dir',
  symlink: 'symlink',
  hardlink: 'hardlink',
  char: 'char',
  block: 'block',
  fifo: 'fifo',
} as const;

export interface EstargzOptions {
  readonly level: number;
  readonly onEntry: (entry: LayerEntry, bodyOffset: number) => void;
  readonly onEnd: (layer: EstargzLayer) => void;
}

export interface EstargzLayer {
  /** Of everything that decompressing gives, the list as well: what a puller compares. */
  readonly diffId: Digest;
  readonly uncompressedBytes: number;
  readonly toc: Digest;
}

interface TocEntry {
  readonly name: string;
  readonly type: string;
  offset?: number;
  digest?: string;
  chunkDigest?: string;
  readonly [member: string]: unknown;
}

/** A piece of a file, which begins a gzip member. */
interface Piece {
  /** In the tar. */
  readonly start: number;
  readonly sizeBytes: number;
  readonly toc: TocEntry;
  /** Of the whole file, over all its pieces. */
  readonly whole: Hash;
  /** The file's first entry, when this is its last piece. */
  readonly ends?: TocEntry;
}

/** @throws AppError COMPRESSION_UNSUPPORTED when the layer has a file of the list's name */
export async function* estargz(
  members: AsyncIterable<TarMember> | Iterable<TarMember>,
  { level, onEntry, onEnd }: EstargzOptions,
): ByteSource {
  const toc: TocEntry[] = [];
  const pieces: Piece[] = [];
  const plain = new Digester();
  const tar = writeTar(members, {
    onEntry: (entry, bodyOffset) => {
      onEntry(entry, bodyOffset);
      pieces.push(...listed(entry, bodyOffset, toc));
    },
  });
  const cutter = new TarCutter(tar, pieces, plain);
  let written = 0;
  for (let piece: Piece | undefined; ;) {
    if (piece !== undefined) piece.toc.offset = written;
    for await (const bytes of gzip(cutter.member(piece), level)) {
      written += bytes.length;
      yield bytes;
    }
    piece = cutter.next();
    if (piece === undefined) break;
  }
  const json = Buffer.from(JSON.stringify({ version: 1, entries: toc }, undefined, '\t'));
  const last = tocTar(json);
  plain.update(last);
  yield* gzip(once(last), level);
  yield footer(written);
  onEnd({ diffId: plain.digest(), uncompressedBytes: plain.sizeBytes, toc: digestOf(json) });
}

/** Puts the entry into the list. @returns the pieces that its content is cut into */
function listed(entry: LayerEntry, bodyOffset: number, toc: TocEntry[]): readonly Piece[] {
  const first = tocEntry(entry);
  if (first.name === TOC_NAME) {
    throw new AppError('COMPRESSION_UNSUPPORTED', `eStargz keeps the name ${TOC_NAME} for itself, and a file has it`, {
      kind: 'unsupported',
      hint: 'another name for the file, or compression gzip',
    });
  }
  const { path, type, sizeBytes } = entry;
  toc.push(first);
  if (type !== 'file') return [];
  const whole = createHash('sha256');
  if (sizeBytes === 0) first.digest = `sha256:${whole.digest('hex')}`;
  const pieces: Piece[] = [];
  for (let at = 0; at < sizeBytes; at += PIECE_BYTES) {
    const left = sizeBytes - at;
    const isLast = left <= PIECE_BYTES;
    const size = left < PIECE_BYTES ? {} : { chunkSize: PIECE_BYTES };
    const own: TocEntry =
      at === 0 ? Object.assign(first, size) : { name: path, type: 'chunk', chunkOffset: at, ...size };
    if (at > 0) toc.push(own);
    const start = bodyOffset + at;
    pieces.push({ start, sizeBytes: Math.min(left, PIECE_BYTES), toc: own, whole, ...(isLast ? { ends: first } : {}) });
  }
  return pieces;
}

/** What is zero is left out, as Go's encoder does. */
function tocEntry(entry: LayerEntry): TocEntry {
  const { path, type, mode, uid, gid, mtimeSeconds, sizeBytes, linkTarget, device, xattrs } = entry;
  const time = mtimeSeconds === 0 ? {} : { modtime: `${new Date(mtimeSeconds * 1000).toISOString().slice(0, 19)}Z` };
  const attributes = [...(xattrs ?? [])].map(([name, value]) => [name, Buffer.from(value).toString('base64')]);
  return {
    name: type === 'directory' ? `${path}/` : path,
    type: TYPES[type],
    ...(sizeBytes === 0 ? {} : { size: sizeBytes }),
    ...time,
    ...(linkTarget === undefined ? {} : { linkName: linkTarget }),
    ...filled({ mode, uid, gid, devMajor: device?.major ?? 0, devMinor: device?.minor ?? 0 }),
    ...(attributes.length === 0 ? {} : { xattrs: Object.fromEntries(attributes) }),
  };
}

function filled(numbers: Readonly<Record<string, number>>): object {
  return Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== 0));
}

/** Hands the tar out in parts that end where the next piece begins. */
class TarCutter {
  private rest: Uint8Array = new Uint8Array();
  /** Where the rest stands in the tar. */
  private offset = 0;
  private taken = 0;

  constructor(
    private readonly tar: AsyncGenerator<Uint8Array, void, undefined>,
    private readonly pieces: Piece[],
    private readonly plain: Digester,
  ) {}

  /** The piece that begins where the last part ended; undefined at the end of the tar. */
  next(): Piece | undefined {
    const piece = this.pieces[this.taken];
    if (piece === undefined) return undefined;
    this.taken += 1;
    if (this.taken === 1000) {
      this.pieces.splice(0, this.taken);
      this.taken = 0;
    }
    return piece;
  }

  /** From the piece, which stands first, to where the next one begins. */
  async *member(piece: Piece | undefined): ByteSource {
    const own = createHash('sha256');
    const end = piece === undefined ? 0 : piece.start + piece.sizeBytes;
    for (;;) {
      if (this.rest.length === 0) {
        const { value, done } = await this.tar.next();
        if (done === true) break;
        this.rest = value;
      }
      // Every piece that begins in these bytes is known before they are given.
      const cut = (this.pieces[this.taken]?.start ?? Infinity) - this.offset;
      if (cut <= 0) break;
      const bytes = this.rest.subarray(0, cut);
      const content = bytes.subarray(0, Math.max(0, end - this.offset));
      own.update(content);
      piece?.whole.update(content);
      this.plain.update(bytes);
      this.rest = this.rest.subarray(bytes.length);
      this.offset += bytes.length;
      yield bytes;
    }
    if (piece === undefined) return;
    piece.toc.chunkDigest = `sha256:${own.digest('hex')}`;
    if (piece.ends !== undefined) piece.ends.digest = `sha256:${piece.whole.digest('hex')}`;
  }
}

/** The list as the only file of a tar. */
function tocTar(json: Buffer): Buffer {
  const entry = {
    path: TOC_NAME,
    type: 'file',
    mode: 0,
    uid: 0,
    gid: 0,
    mtimeSeconds: 0,
    sizeBytes: json.length,
  } as const;
  return Buffer.concat([encodeHeader(entry), json, Buffer.alloc(paddingOf(json.length) + 1024)]);
}

/** An empty gzip member of 51 bytes, whose extra field says where the list begins. */
function footer(tocOffset: number): Uint8Array {
  const field = Buffer.from(`${tocOffset.toString(16).padStart(16, '0')}STARGZ`);
  const head = Buffer.from([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, field.length + 4, 0, 0x53, 0x47, field.length, 0]);
  return Buffer.concat([head, field, storedHeader(0, true), gzipTrailer(0, 0)]);
}

async function* once(bytes: Uint8Array): ByteSource {
  yield bytes;
}
