/**
 * A build context as a tree whose contents are read by range where they lie. An uploaded tar is read once from front to
 * end while every file is hashed; a compressed one is stored once more as a plain tar for that. Of a list of files all
 * this is known beforehand.
 */
import { createHash } from 'node:crypto';
import type { IgnoreFile } from '../../dockerfile/index.js';
import { AppError } from '../../errors/index.js';
import {
  type BodyPlace,
  Column,
  CONTEXT_LIMITS,
  copyEntry,
  decompress,
  EntryList,
  ImageTree,
  type LayerDescriptor,
  type LayerIndex,
  quoteName,
  readContext,
  sniffCompression,
} from '../../layers/index.js';
import { type Digest, MediaType } from '../../oci/index.js';
import type { ByteSource, ContentStore } from '../../store/index.js';
import { hasContent } from './content-index.js';
import type { ContextPlaces } from './context-places.js';
import { type FileHashes, identify, type SelectionIdentity } from '../keys/selection.js';
import type { CopySource } from '../plan/steps.js';
import { ROOT } from '../steps/owners.js';

/** A Dockerfile or ignore file may not be larger. */
const MAX_TEXT_BYTES = 2 * 1024 * 1024;
const MAX_RATIO = 100;
/** As many as a large Dockerfile has COPY of the context; of a context that is kept, for the next build. */
const KEPT_IDENTITIES = 16;
/** What stands in the tree, and in what identities there are. */
const BESIDE_BYTES = 24;

export class BuildContext {
  private readonly identities = new Map<string, Promise<SelectionIdentity>>();
  private last: { readonly ignore: string; readonly context: BuildContext } | undefined;

  private constructor(
    private readonly index: LayerIndex,
    /** All entries that are not ignored. */
    readonly tree: ImageTree,
    /** Whether .dockerignore took the entry of this row away. */
    private readonly ignored: (row: number) => boolean = () => false,
    /** All entries. */
    private readonly whole: ImageTree = tree,
    /** Of nothing at all. */
    private readonly empty: ImageTree = tree,
  ) {}

  /**
   * Reads the context and checks every entry.
   * @throws AppError CONTEXT_UNKNOWN, TAR_… with the entry's name
   */
  static async open(content: ContentStore, digest: Digest, signal?: AbortSignal): Promise<BuildContext> {
    const descriptor = await plainTar(content, digest, signal);
    const entries = new EntryList();
    const source = await opened(content, descriptor.digest);
    for await (const { entry, body, bodyOffset } of readContext(source, { paths: entries.paths })) {
      signal?.throwIfAborted();
      // Docker gives everything of a context to root, whoever owns it where it came from.
      const own = copyEntry(entry, ROOT);
      if (entry.type !== 'file') {
        entries.push(own, { bodyOffset });
        continue;
      }
      const hash = createHash('sha256');
      for await (const chunk of body) hash.update(chunk);
      entries.push(own, { bodyOffset, sha256: hash.digest('hex') });
    }
    return BuildContext.of(content, {
      descriptor,
      diffId: descriptor.digest,
      uncompressedBytes: descriptor.size,
      entries,
    });
  }

  /** A context that was sent as a list of files. */
  static ofList(
    content: ContentStore,
    digest: Digest,
    entries: EntryList,
    { packs, files }: ContextPlaces,
  ): BuildContext {
    const blobs = packs.map((pack): LayerDescriptor => ({
      mediaType: MediaType.ociLayer,
      digest: pack.digest,
      size: pack.sizeBytes,
    }));
    const descriptor = { mediaType: MediaType.ociLayer, digest, size: 0 };
    /** Number of each entry among those with content. */
    const numbers = new Column();
    for (let row = 0, file = 0; row < entries.length; row += 1) {
      if (hasContent(entries, row)) numbers.put(row, file++);
    }
    const bodyOf = (row: number): BodyPlace => {
      const [pack, offset] = files.at(numbers.at(row));
      return { layer: blobs[pack] ?? descriptor, offset };
    };
    return BuildContext.of(content, { descriptor, diffId: digest, uncompressedBytes: 0, entries, bodyOf });
  }

  private static of(content: ContentStore, index: LayerIndex): BuildContext {
    const empty = ImageTree.empty(content);
    const whole = empty.withLayer(index);
    return new BuildContext(index, whole, undefined, whole, empty);
  }

  /** The context without what an ignore file names. A folder stays when something in it does. */
  without(ignore: IgnoreFile): BuildContext {
    const key = JSON.stringify(ignore.patterns);
    if (this.last?.ignore !== key) this.last = { ignore: key, context: this.makeWithout(ignore) };
    return this.last.context;
  }

  private makeWithout(ignore: IgnoreFile): BuildContext {
    const { entries } = this.index;
    const { paths } = entries;
    const ignored = new Uint8Array(entries.length);
    /** Folders that something which stays lies in, by the rows of paths. */
    const needed = new Uint8Array(paths.size);
    for (let row = 0; row < entries.length; row += 1) {
      if (ignore.ignores(entries.path(row))) {
        ignored[row] = 1;
        continue;
      }
      for (let at = paths.parent(entries.pathRow(row)); needed[at] !== 1; at = paths.parent(at)) needed[at] = 1;
    }
    const omitted = (row: number): boolean => ignored[row] === 1 && needed[entries.pathRow(row)] !== 1;
    const tree = this.empty.withLayer(this.index, omitted);
    return new BuildContext(this.index, tree, (row) => ignored[row] === 1, this.whole, this.empty);
  }

  /** What its list takes of memory, and what is known beside it. */
  get sizeBytes(): number {
    return this.index.entries.sizeBytes + this.index.entries.length * BESIDE_BYTES;
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

  /** Every file of the context is known. */
  readonly fileHashes: FileHashes = async () => (file) => this.tree.sha256(file);

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

  /** All entries, ignored or not: for suggestions. */
  *paths(): Generator<string, void, undefined> {
    const { entries } = this.index;
    for (let row = 0; row < entries.length; row += 1) yield entries.path(row);
  }

  /** All entries that are not ignored. */
  *keptPaths(): Generator<string, void, undefined> {
    const { entries } = this.index;
    for (let row = 0; row < entries.length; row += 1) if (!this.ignored(row)) yield entries.path(row);
  }

  /** Whether .dockerignore took this path away, or something that lies in it. */
  ignores(path: string): boolean {
    const { entries } = this.index;
    for (let row = 0; row < entries.length; row += 1) {
      if (!this.ignored(row)) continue;
      const each = entries.path(row);
      if (each === path || each.startsWith(`${path}/`)) return true;
    }
    return false;
  }
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
