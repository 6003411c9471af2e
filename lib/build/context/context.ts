/**
 * A build context as a tree whose contents are read by range where they lie. An uploaded tar is read once from front to
 * end while every file is hashed; a compressed one is stored once more as a plain tar for that. Of a list of files all
 * this is known beforehand.
 */
import { createHash } from 'node:crypto';
import type { IgnoreFile } from '../../dockerfile/index.js';
import { AppError } from '../../errors/index.js';
import {
  CONTEXT_LIMITS,
  copyEntry,
  decompress,
  ImageTree,
  indexedEntry,
  type IndexedEntry,
  type LayerDescriptor,
  type LayerIndex,
  type ManifestEntry,
  quoteName,
  readContext,
  sniffCompression,
  type TreeEntry,
} from '../../layers/index.js';
import { type Digest, digestHex, MediaType } from '../../oci/index.js';
import type { ByteSource, ContentStore } from '../../store/index.js';
import type { ContextPlaces } from './context-places.js';
import { identify, type SelectionIdentity } from '../keys/selection.js';
import type { CopySource } from '../plan/steps.js';
import { ROOT } from '../steps/owners.js';

/** A Dockerfile or ignore file may not be larger. */
const MAX_TEXT_BYTES = 2 * 1024 * 1024;
const MAX_RATIO = 100;
/** As many as a large Dockerfile has COPY of the context; of a context that is kept, for the next build. */
const KEPT_IDENTITIES = 16;

export class BuildContext {
  private readonly identities = new Map<string, Promise<SelectionIdentity>>();
  private last: { readonly ignore: string; readonly context: BuildContext } | undefined;

  private constructor(
    private readonly content: ContentStore,
    private readonly index: LayerIndex,
    /** SHA-256 (hex) of each file's content, by inode. */
    private readonly hashes: ReadonlyMap<string, string>,
    /** All entries that are not ignored. */
    readonly tree: ImageTree,
    /** Paths that .dockerignore took away. */
    readonly ignored: ReadonlySet<string>,
    /** All entries. */
    private readonly whole: ImageTree = tree,
  ) {}

  /**
   * Reads the context and checks every entry.
   * @throws AppError CONTEXT_UNKNOWN, TAR_… with the entry's name
   */
  static async open(content: ContentStore, digest: Digest, signal?: AbortSignal): Promise<BuildContext> {
    const descriptor = await plainTar(content, digest, signal);
    const entries: IndexedEntry[] = [];
    const hashes = new Map<string, string>();
    const source = await opened(content, descriptor.digest);
    for await (const { entry, body, bodyOffset } of readContext(source)) {
      signal?.throwIfAborted();
      // Docker gives everything of a context to root, whoever owns it where it came from.
      entries.push(indexedEntry(copyEntry(entry, ROOT), bodyOffset));
      if (entry.type !== 'file') continue;
      const hash = createHash('sha256');
      for await (const chunk of body) hash.update(chunk);
      hashes.set(inodeOf(descriptor, bodyOffset), hash.digest('hex'));
    }
    const index = { descriptor, diffId: descriptor.digest, uncompressedBytes: descriptor.size, entries };
    return new BuildContext(content, index, hashes, ImageTree.empty(content).withLayer(index), new Set());
  }

  /** A context that was sent as a list of files. */
  static ofList(
    content: ContentStore,
    digest: Digest,
    list: readonly ManifestEntry[],
    { packs, files }: ContextPlaces,
  ): BuildContext {
    const blobs = packs.map((pack): LayerDescriptor => ({
      mediaType: MediaType.ociLayer,
      digest: pack.digest,
      size: pack.sizeBytes,
    }));
    const descriptor = { mediaType: MediaType.ociLayer, digest, size: 0 };
    const hashes = new Map<string, string>();
    const short = digestHex(digest).slice(0, 16);
    let at = 0;
    const entries = list.map((entry, number): IndexedEntry => {
      // Not by place: files with one content are still two files.
      const inode = `${short}#${number}`;
      if (entry.sha256 !== undefined) hashes.set(inode, entry.sha256);
      const [pack, bodyOffset] = (entry.sizeBytes > 0 ? files[at++] : undefined) ?? [0, 0];
      return indexedEntry(entry, bodyOffset, { inode, elsewhere: blobs[pack] });
    });
    const index = { descriptor, diffId: digest, uncompressedBytes: 0, entries };
    return new BuildContext(content, index, hashes, ImageTree.empty(content).withLayer(index), new Set());
  }

  /** The context without what an ignore file names. A folder stays when something in it does. */
  without(ignore: IgnoreFile): BuildContext {
    const key = JSON.stringify(ignore.patterns);
    if (this.last?.ignore !== key) this.last = { ignore: key, context: this.makeWithout(ignore) };
    return this.last.context;
  }

  private makeWithout(ignore: IgnoreFile): BuildContext {
    const ignored = new Set(this.index.entries.filter(({ path }) => ignore.ignores(path)).map(({ path }) => path));
    const needed = new Set<string>();
    for (const { path } of this.index.entries) {
      if (ignored.has(path)) continue;
      for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) needed.add(path.slice(0, at));
    }
    const entries = this.index.entries.filter(({ path }) => !ignored.has(path) || needed.has(path));
    const tree = ImageTree.empty(this.content).withLayer({ ...this.index, entries: detached(entries, this.index) });
    return new BuildContext(this.content, this.index, this.hashes, tree, ignored, this.whole);
  }

  /** How many entries it has, ignored ones too. */
  get size(): number {
    return this.index.entries.length;
  }

  /** What a source of COPY selects, looked at once however many builds ask. @throws SourceMissing */
  identify(
    { path, literal, below }: Pick<CopySource, 'path' | 'literal' | 'below'>,
    exclude: readonly string[],
  ): Promise<SelectionIdentity> {
    const wanted = {
      path,
      ...(literal === undefined ? {} : { literal }),
      ...(below === undefined ? {} : { below }),
    };
    const key = JSON.stringify([wanted, exclude]);
    const identity = this.identities.get(key) ?? identify(this.tree, wanted, exclude, this.fileHashes);
    this.identities.delete(key);
    this.identities.set(key, identity);
    for (const oldest of this.identities.keys()) {
      if (this.identities.size > KEPT_IDENTITIES) this.identities.delete(oldest);
    }
    return identity;
  }

  /** Contents' hashes by inode; every file of the context is known. */
  readonly fileHashes = async (files: readonly TreeEntry[]): Promise<ReadonlyMap<string, string>> => {
    for (const file of files) {
      if (!this.hashes.has(file.inode)) {
        throw new AppError('INTERNAL', `${quoteName(file.path)} is not of this context`, { kind: 'internal' });
      }
    }
    return this.hashes;
  };

  /**
   * A text file of the context, ignored or not; undefined when there is none.
   * @throws AppError CONTEXT_FILE_TOO_LARGE
   */
  async text(path: string): Promise<string | undefined> {
    const entry = this.whole.lookup(path);
    if (entry?.type !== 'file') return undefined;
    if (entry.sizeBytes > MAX_TEXT_BYTES) {
      throw new AppError('CONTEXT_FILE_TOO_LARGE', `${quoteName(path)} has ${entry.sizeBytes} bytes`, {
        kind: 'too-large',
        hint: `at most ${MAX_TEXT_BYTES} bytes`,
      });
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.whole.readFile(entry.path)) chunks.push(chunk);
    return Buffer.concat(chunks).toString('utf8');
  }

  /** All files, ignored or not: for suggestions. */
  get paths(): readonly string[] {
    return this.index.entries.map(({ path }) => path);
  }
}

/**
 * A hard link whose first name is ignored takes its place: the content lies at the first name's offset.
 * Links to a name that stays are left alone.
 */
function detached(entries: readonly IndexedEntry[], whole: LayerIndex): IndexedEntry[] {
  const kept = new Set(entries.map(({ path }) => path));
  const all = new Map(whole.entries.map((entry) => [entry.path, entry]));
  const heirs = new Map<string, string>();
  return entries.map((entry) => {
    if (entry.type !== 'hardlink' || entry.linkTarget === undefined) return entry;
    let first = all.get(entry.linkTarget);
    while (first?.type === 'hardlink') first = all.get(first.linkTarget ?? '');
    if (first === undefined || kept.has(first.path)) return first === undefined ? entry : linkTo(entry, first.path);
    const heir = heirs.get(first.path);
    if (heir !== undefined) return linkTo(entry, heir);
    heirs.set(first.path, entry.path);
    return indexedEntry(copyEntry(first, { path: entry.path }), first.bodyOffset, first);
  });
}

function linkTo(entry: IndexedEntry, linkTarget: string): IndexedEntry {
  return indexedEntry(copyEntry(entry, { linkTarget }), entry.bodyOffset, entry);
}

function inodeOf(descriptor: LayerDescriptor, bodyOffset: number): string {
  return `${descriptor.digest}@${bodyOffset}`;
}

/** The context as a plain tar in the store. */
async function plainTar(content: ContentStore, digest: Digest, signal?: AbortSignal): Promise<LayerDescriptor> {
  const info = await content.stat(digest);
  if (info === undefined) throw unknownContext(digest);
  const end = Math.min(512, info.sizeBytes) - 1;
  const head = end < 0 ? Buffer.alloc(0) : await bytesOf(await opened(content, digest, { start: 0, end }));
  const kind = sniffCompression(head);
  if (kind === 'none') return { mediaType: MediaType.ociLayer, digest, size: info.sizeBytes };
  const limits = { maxBytes: CONTEXT_LIMITS.totalBytes, maxRatio: MAX_RATIO };
  const plain = decompress(await opened(content, digest), kind ?? 'sniff', limits);
  const stored = await content.put(plain, signal === undefined ? {} : { signal });
  return { mediaType: MediaType.ociLayer, digest: stored.digest, size: stored.sizeBytes };
}

async function opened(
  content: ContentStore,
  digest: Digest,
  range?: { readonly start: number; readonly end: number },
): Promise<ByteSource> {
  const stream = await content.open(digest, range);
  if (stream === undefined) throw unknownContext(digest);
  return stream as ByteSource;
}

async function bytesOf(source: ByteSource): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export function unknownContext(digest: Digest): AppError {
  return new AppError('CONTEXT_UNKNOWN', `the store has no context ${digest}`, {
    kind: 'not-found',
    hint: 'send the context again',
  });
}
