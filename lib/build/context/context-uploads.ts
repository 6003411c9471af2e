/**
 * Sends a context as a list of files and then only what is missing: `offer` takes the list and says whose contents are
 * missing, `send` takes those. The context appears when all of it is there and checked, never before.
 */
import { AppError } from '../../errors/index.js';
import type { EntryList } from '../../layers/index.js';
import { type Digest, digestOf } from '../../oci/index.js';
import type { ByteSource } from '../../store/index.js';
import { WantedContents } from './arranged-places.js';
import { type AnnouncedFiles, ContentCheck } from './content-check.js';
import { unknownContext } from './context.js';
import type { ContextPlaces, Pack } from './context-places.js';
import { CONTEXT_UPLOAD_MS, contextUploadKey, type ContextUploadRecord } from './context-records.js';
import { decodeWithPlaces, encodeWithPlaces } from './places-json.js';
import { type KnownContext, SentContexts, type SentContextsDeps } from './sent-contexts.js';

/** All of it is there, or the contents of these entries (from 0) are to be sent, in this order. */
export type ContextOffer =
  | { readonly context: KnownContext }
  | { readonly upload: string; readonly missing: readonly number[]; readonly missingBytes: number };

export type ContextSent = { readonly context: KnownContext } | { readonly offset: number };

export class ContextUploads {
  /** @param contexts those of the builder, where it is in this process: what was just checked need not be read again */
  constructor(
    private readonly deps: SentContextsDeps,
    private readonly contexts = new SentContexts(deps),
  ) {}

  /**
   * Takes a list of files.
   * @param name what the owner calls it: the next list of that name is compared with this one
   * @throws AppError CONTEXT_LIST_INVALID, TAR_…
   */
  async offer(owner: string, name: string, list: ByteSource, signal?: AbortSignal): Promise<ContextOffer> {
    const { content, records, clock, ids } = this.deps;
    const { digest: context } = await content.put(list, signal === undefined ? {} : { signal });
    const known = await this.contexts.find(context, owner);
    if (known !== undefined) {
      await this.contexts.remember(owner, name, context);
      return { context: known };
    }
    const entries = await this.contexts.checked(context);
    const wanted = new WantedContents(entries);
    const before = await this.contexts.findIn(owner, name, wanted);
    this.contexts.keepList(context, entries);
    const arranged = wanted.arrange(before);
    const sizeBytes = sizeOf(entries);
    const held = await this.contexts.hold(
      context,
      owner,
      arranged.packs.map(({ digest }) => digest),
    );
    // A pack that was collected meanwhile: everything is asked for.
    const places = held ? arranged : wanted.arrange([]);
    if (places.missing.length === 0) {
      return { context: await this.contexts.complete({ owner, name, context, sizeBytes }, places) };
    }
    const { packs, files, missing } = places;
    const id = ids.hex(20);
    const upload = await content.blobs.uploads.start();
    const draft = await content.put(encodeWithPlaces({ packs, missing }, files));
    const record: ContextUploadRecord = {
      owner,
      name,
      context,
      sizeBytes,
      arranged: draft.digest,
      upload,
      missingBytes: places.missingBytes,
    };
    await records.put(contextUploadKey(id), record, { expiresAtMs: clock.nowMs() + CONTEXT_UPLOAD_MS });
    return { upload: id, missing: places.missing, missingBytes: places.missingBytes };
  }

  /**
   * Takes contents, or the next part of them, one after the other as `offer` asked for them.
   * @throws AppError CONTEXT_UPLOAD_UNKNOWN, CONTEXT_OFFSET (details.offset says where to go on), CONTEXT_TOO_LONG,
   * CONTEXT_CONTENT_MISMATCH
   */
  async send(owner: string, id: string, offset: number, body: ByteSource, signal?: AbortSignal): Promise<ContextSent> {
    const record = (await this.deps.records.get<ContextUploadRecord>(contextUploadKey(id)))?.value;
    if (record === undefined || record.owner !== owner) throw unknownUpload(id);
    const draft = await this.draft(record);
    const check = new ContentCheck(draft.announced);
    const bounded = atMost(body, record.missingBytes - offset);
    // Only what comes in one piece can be checked as it passes; the rest is read back.
    const source = offset === 0 ? check.pass(bounded) : bounded;
    try {
      const { uploads } = this.deps.content.blobs;
      const appended = await uploads.append(record.upload, offset, source, signal);
      if (appended.outcome === 'absent') throw unknownUpload(id);
      if (appended.outcome === 'wrong-offset') throw wrongOffset(appended.offset);
      if (appended.offset < record.missingBytes) return { offset: appended.offset };
      return { context: await this.finish(id, record, draft, check) };
    } catch (error) {
      if (error instanceof AppError && error.code === 'CONTEXT_CONTENT_MISMATCH') await this.drop(id, record);
      throw error;
    }
  }

  private async draft({ arranged, context }: ContextUploadRecord): Promise<Draft> {
    const { rest, files } = await decodeWithPlaces(await this.contexts.blob(arranged));
    const stored = rest as StoredDraft;
    const { packs } = stored;
    if ('announced' in stored) return { packs, files, announced: stored.announced };
    return { packs, files, announced: await this.contexts.announced(context, stored.missing) };
  }

  private async finish(
    id: string,
    record: ContextUploadRecord,
    draft: Draft,
    check: ContentCheck,
  ): Promise<KnownContext> {
    const { content, records } = this.deps;
    const { uploads } = content.blobs;
    // What the upload hashes to is for the store to say; each file in it was announced.
    const told = await uploads.commit(record.upload, NOT_KNOWN);
    const committed = told.outcome === 'digest-mismatch' ? await uploads.commit(record.upload, told.actual) : told;
    if (committed.outcome !== 'committed') throw unknownUpload(id);
    const pack = await content.adopt(committed.blob);
    if (!check.isComplete) await this.checkAgain(record, draft, pack.digest);
    const packs = [...draft.packs, pack];
    await this.contexts.hold(record.context, record.owner, [pack.digest]);
    const known = await this.contexts.complete(record, { packs, files: draft.files });
    await records.delete(contextUploadKey(id));
    return known;
  }

  private async checkAgain(record: ContextUploadRecord, draft: Draft, pack: Digest): Promise<void> {
    const check = new ContentCheck(draft.announced);
    const source = (await this.deps.content.open(pack)) as ByteSource | undefined;
    if (source === undefined) throw unknownContext(record.context);
    for await (const chunk of check.pass(source)) void chunk;
  }

  private async drop(id: string, record: ContextUploadRecord): Promise<void> {
    await this.deps.records.delete(contextUploadKey(id));
    await this.deps.content.blobs.uploads.abort(record.upload);
  }
}

/** What an upload is to become. */
interface Draft extends ContextPlaces {
  /** What is to come, in its order. */
  readonly announced: AnnouncedFiles;
}

/** As it is stored, beside the places. Earlier versions wrote the missing files themselves. */
type StoredDraft = { readonly packs: readonly Pack[] } & (
  { readonly missing: readonly number[] } | { readonly announced: AnnouncedFiles }
);

function sizeOf(entries: EntryList): number {
  let bytes = 0;
  for (let row = 0; row < entries.length; row += 1) bytes += entries.sizeBytesOf(row);
  return bytes;
}

/** Of nothing that is ever sent. */
const NOT_KNOWN = digestOf(Buffer.from('a digest that is not known'));

async function* atMost(source: ByteSource, bytes: number): ByteSource {
  let left = bytes;
  for await (const chunk of source) {
    left -= chunk.length;
    if (left < 0) {
      throw new AppError('CONTEXT_TOO_LONG', `more than the ${bytes} bytes that are missing came`, {
        kind: 'too-large',
        hint: 'the contents that were asked for, one after the other',
      });
    }
    yield chunk;
  }
}

function unknownUpload(id: string): AppError {
  return new AppError('CONTEXT_UPLOAD_UNKNOWN', `there is no upload ${id}`, {
    kind: 'not-found',
    hint: 'send the list of files again: POST /v1/contexts',
  });
}

function wrongOffset(offset: number): AppError {
  return new AppError('CONTEXT_OFFSET', `the upload stands at byte ${offset}`, {
    kind: 'conflict',
    hint: `go on from byte ${offset}`,
    details: { offset },
  });
}
