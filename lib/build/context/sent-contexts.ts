/**
 * Contexts that were sent as lists of files, whole and checked: found, kept and opened. Owners see only what they have
 * sent themselves.
 */
import { AppError } from '../../errors/index.js';
import { EntryList, isContextManifest, readCheckedManifest, readContextManifest } from '../../layers/index.js';
import type { Digest } from '../../oci/index.js';
import type { ByteSource, Clock, ContentStore, Ids, RecordStore } from '../../store/index.js';
import type { WantedContents } from './arranged-places.js';
import { announced, type AnnouncedFiles } from './content-check.js';
import { hasContent } from './content-index.js';
import { BuildContext, unknownContext } from './context.js';
import type { ContextPlaces, Pack } from './context-places.js';
import {
  CONTEXT_KEEP_MS,
  contextBlobHolder,
  contextKey,
  type ContextUploadRecord,
  type ContextRecord,
  lastContextKey,
  type LastContextRecord,
} from './context-records.js';
import { decodePlaces, encodePlaces } from './places-json.js';

export interface SentContextsDeps {
  readonly records: RecordStore;
  readonly content: ContentStore;
  readonly clock: Clock;
  readonly ids: Ids;
}

export interface KnownContext {
  readonly digest: Digest;
  /** Of all files together. */
  readonly sizeBytes: number;
}

const HEAD_BYTES = 64;
/** The next build most often begins where the last one ended; its list is compared with the one before. */
const KEPT_OPEN = 1;
/** Of lists together, and of what is open: that of some 150,000 files. */
const MAX_KEPT_BYTES = 24 * 1024 * 1024;
const KEPT_LISTS = 8;

export class SentContexts {
  private readonly lists = new Map<Digest, EntryList>();
  /** By the digests of the list and of the places: who knows the places may see the context. */
  private readonly opened = new Map<string, BuildContext>();

  constructor(private readonly deps: SentContextsDeps) {}

  /** Whether a build by this owner may name the context: a tar in the store, or a list of its own. Renews it. */
  async has(context: Digest, owner: string): Promise<boolean> {
    if ((await this.find(context, owner)) !== undefined) return true;
    if ((await this.deps.content.stat(context)) === undefined) return false;
    return !(await this.isList(context));
  }

  /**
   * The files of a context, sent as a list or as a tar.
   * @throws AppError CONTEXT_UNKNOWN, TAR_…
   */
  async open(context: Digest, owner: string, signal?: AbortSignal): Promise<BuildContext> {
    const record = await this.deps.records.get<ContextRecord>(contextKey(context, owner));
    if (record === undefined) {
      if (await this.isList(context)) throw unknownContext(context);
      return BuildContext.open(this.deps.content, context, signal);
    }
    const { places } = record.value;
    const key = `${context} ${places}`;
    const known = this.opened.get(key) ?? (await this.read(context, places));
    keep(this.opened, KEPT_OPEN, key, known);
    return known;
  }

  private async read(context: Digest, places: Digest): Promise<BuildContext> {
    const entries = await this.entries(context);
    return BuildContext.ofList(this.deps.content, context, entries, await decodePlaces(await this.blob(places)));
  }

  /** Everything is there: from here on the context can be seen. */
  async complete(
    { owner, name, context, sizeBytes }: Pick<ContextUploadRecord, 'owner' | 'name' | 'context' | 'sizeBytes'>,
    { packs, files }: ContextPlaces,
  ): Promise<KnownContext> {
    const { content, records, clock } = this.deps;
    const places = await content.put(encodePlaces({ packs, files }));
    await this.hold(context, owner, [places.digest]);
    const value: ContextRecord = { places: places.digest, packs: packs.map(({ digest }) => digest), sizeBytes };
    await records.put(contextKey(context, owner), value, { expiresAtMs: clock.nowMs() + CONTEXT_KEEP_MS });
    await this.remember(owner, name, context);
    return { digest: context, sizeBytes };
  }

  /** The context with everything it stands on, for half of the time at least; undefined when the owner has none. */
  async find(context: Digest, owner: string): Promise<KnownContext | undefined> {
    const { records, clock } = this.deps;
    const record = await records.get<ContextRecord>(contextKey(context, owner));
    if (record === undefined) return undefined;
    const { places, packs, sizeBytes } = record.value;
    const now = clock.nowMs();
    if ((record.expiresAtMs ?? 0) - now < CONTEXT_KEEP_MS / 2) {
      if (!(await this.hold(context, owner, [places, ...packs]))) return undefined;
      await records.put(record, record.value, { expiresAtMs: now + CONTEXT_KEEP_MS });
    }
    return { digest: context, sizeBytes };
  }

  /** Holds the list and these blobs. @returns false when one of them is not there any more */
  async hold(context: Digest, owner: string, blobs: readonly Digest[]): Promise<boolean> {
    const by = contextBlobHolder(context, owner);
    // Half as long again, so that what is held outlives the record.
    const options = { forMs: CONTEXT_KEEP_MS * 2 };
    const held = await Promise.all([context, ...blobs].map((blob) => this.deps.content.hold(blob, by, options)));
    return held.every((info) => info !== undefined);
  }

  async remember(owner: string, name: string, context: Digest): Promise<void> {
    const value: LastContextRecord = { context };
    const expiresAtMs = this.deps.clock.nowMs() + CONTEXT_KEEP_MS;
    await this.deps.records.put(lastContextKey(owner, name), value, { expiresAtMs });
  }

  /** Finds contents of a list in the owner's last context of that name. @returns its packs; none when there is no such context */
  async findIn(owner: string, name: string, wanted: WantedContents): Promise<readonly Pack[]> {
    const { records } = this.deps;
    const last = await records.get<LastContextRecord>(lastContextKey(owner, name));
    if (last === undefined) return [];
    const { context } = last.value;
    const record = await records.get<ContextRecord>(contextKey(context, owner));
    if (record === undefined) return [];
    const { packs, files } = await decodePlaces(await this.blob(record.value.places));
    let file = 0;
    await this.contents(context, (digest, sizeBytes) => {
      if (file < files.length) wanted.found(digest, sizeBytes, files.at(file++));
    });
    return packs;
  }

  /** The contents of a complete context, in the order of its list, which is not held for that. */
  private async contents(context: Digest, onContent: (digest: Uint8Array, sizeBytes: number) => void): Promise<void> {
    const known = this.lists.get(context);
    if (known === undefined) {
      await readCheckedManifest(await this.list(context), ({ type, sizeBytes, sha256 = '' }) => {
        if (type === 'file' && sizeBytes > 0) onContent(Buffer.from(sha256, 'hex'), sizeBytes);
      });
      return;
    }
    for (let row = 0; row < known.length; row += 1)
      if (hasContent(known, row)) onContent(known.digest(row), known.sizeBytesOf(row));
  }

  /** The files of a list that are still to come. @param missing their rows, which ascend */
  async announced(context: Digest, missing: readonly number[]): Promise<AnnouncedFiles> {
    const known = this.lists.get(context);
    if (known !== undefined) return announced(known, missing);
    const some = new EntryList();
    let row = 0;
    await readCheckedManifest(await this.list(context), (entry) => {
      if (row++ === missing[some.length]) some.push(entry);
    });
    return announced(
      some,
      missing.map((_, number) => number),
    );
  }

  /** The entries of a complete context's list. */
  async entries(context: Digest): Promise<EntryList> {
    const known = this.lists.get(context);
    if (known !== undefined) return known;
    const entries = new EntryList();
    await readCheckedManifest(await this.list(context), (entry) => entries.push(entry));
    this.keepList(context, entries);
    return entries;
  }

  /** The entries of a list that just came, held to the rules. @throws AppError CONTEXT_LIST_INVALID, TAR_… */
  async checked(context: Digest): Promise<EntryList> {
    return readContextManifest(await this.list(context));
  }

  /** What was checked will soon be asked for: by the upload, the build, and the next list. */
  keepList(context: Digest, entries: EntryList): void {
    keep(this.lists, KEPT_LISTS, context, entries);
  }

  private async list(context: Digest): Promise<ByteSource> {
    const source = (await this.deps.content.open(context)) as ByteSource | undefined;
    if (source === undefined) throw unknownContext(context);
    return source;
  }

  private async isList(context: Digest): Promise<boolean> {
    const source = (await this.deps.content.open(context, { start: 0, end: HEAD_BYTES - 1 })) as ByteSource | undefined;
    const chunks: Uint8Array[] = [];
    for await (const chunk of source ?? []) chunks.push(chunk);
    return isContextManifest(Buffer.concat(chunks));
  }

  /** Something that is kept of a context. @throws AppError CONTEXT_BROKEN */
  async blob(blob: Digest): Promise<ByteSource> {
    const source = (await this.deps.content.open(blob)) as ByteSource | undefined;
    if (source !== undefined) return source;
    throw new AppError('CONTEXT_BROKEN', `the blob ${blob} of a context is gone`, { kind: 'internal' });
  }
}

/** As the newest of so many, as far as they are not too large together. */
function keep<K, V extends { readonly sizeBytes: number }>(all: Map<K, V>, count: number, key: K, value: V): void {
  all.delete(key);
  all.set(key, value);
  const bytes = (): number => [...all.values()].reduce((sum, each) => sum + each.sizeBytes, 0);
  for (const oldest of all.keys()) if (all.size > count || bytes() > MAX_KEPT_BYTES) all.delete(oldest);
}
