/**
 * Bounds in bytes of caches. When the manifests of a cache name more bytes than it may hold, those that must go are
 * found here: chosen ones first, then those of which the longest time nothing is known; an index or an image goes with
 * what it alone names, and what services run does not go. The review of the repository lets them go like what nobody
 * asked for in its time, only sooner; asking for one still takes it out.
 */
import type { Digest } from '../../oci/index.js';
import { type EdgeRecord, type LinkRecord, type ManifestRecord, repo } from '../records.js';
import { type PassContext, scan } from './context.js';

/** Finds what is beyond the bounds of caches, for the reviews that follow. Yields after every record. */
export async function* reviewBounds(pass: PassContext, repositories: AsyncIterable<string>): AsyncGenerator<void> {
  const caches = new Map<string, { readonly maxBytes: number; readonly contents: CacheContents }>();
  for await (const repository of repositories) {
    const bound = await pass.caches?.bound(repository);
    if (bound === undefined) continue;
    const { contents } = caches.get(bound.cache) ?? { contents: new CacheContents() };
    caches.set(bound.cache, { maxBytes: bound.maxBytes, contents });
    yield* contents.read(pass, repository);
  }
  for (const { maxBytes, contents } of caches.values()) {
    for (const { repository, digest } of contents.beyond(maxBytes)) {
      pass.beyondBounds.set(repository, (pass.beyondBounds.get(repository) ?? new Set()).add(digest));
    }
  }
}

interface HeldManifest {
  readonly repository: string;
  readonly digest: Digest;
  readonly isPinned: boolean;
  readonly doomedMs: number;
  readonly sinceMs: number;
  readonly subject?: Digest;
  readonly names: Digest[];
  /** Manifests that hold it: indexes, and the image it is about. */
  namedBy: number;
}

/** What a cache holds, as one pass sees it. */
class CacheContents {
  private readonly manifests = new Map<string, HeldManifest>();
  private readonly sizes = new Map<Digest, number>();

  /** Yields after every record. */
  async *read({ records, pinned }: PassContext, repository: string): AsyncGenerator<void> {
    const pins = pinned.get(repository);
    for await (const { sort, value } of scan<ManifestRecord>(records, repo(repository), 'MAN#')) {
      const digest = sort.slice('MAN#'.length) as Digest;
      this.manifests.set(keyOf(repository, digest), {
        repository,
        digest,
        // What was pushed here is held by its tags.
        isPinned: pins?.has(digest) === true || value.isCached !== true,
        doomedMs: value.doomedMs ?? Infinity,
        sinceMs: Math.max(value.pushedMs, value.usedMs ?? 0),
        ...(value.subject === undefined ? {} : { subject: value.subject }),
        names: [],
        namedBy: 0,
      });
      yield;
    }
    for await (const { sort } of scan<EdgeRecord>(records, repo(repository), 'EDGE#')) {
      const [, target, owner] = sort.split('#');
      this.manifests.get(keyOf(repository, owner as Digest))?.names.push(target as Digest);
      yield;
    }
    for await (const { sort, value } of scan<LinkRecord>(records, repo(repository), 'LINK#')) {
      this.sizes.set(sort.slice('LINK#'.length) as Digest, value.sizeBytes);
      yield;
    }
  }

  /** The manifests to let go, so that what the others name fits. Once: it counts down what holds what. */
  beyond(maxBytes: number): readonly { readonly repository: string; readonly digest: Digest }[] {
    const all = [...this.manifests.values()];
    // An image goes before what is about it.
    for (const manifest of all) {
      if (manifest.subject !== undefined) this.named(manifest, manifest.subject)?.names.push(manifest.digest);
    }
    for (const manifest of all) {
      for (const digest of manifest.names) {
        const named = this.named(manifest, digest);
        if (named !== undefined) named.namedBy += 1;
      }
    }
    const blobs = new Map<Digest, number>();
    for (const digest of all.flatMap(({ names }) => names)) blobs.set(digest, (blobs.get(digest) ?? 0) + 1);
    let bytes = [...blobs.keys()].reduce((sum, digest) => sum + (this.sizes.get(digest) ?? 0), 0);
    const gone = new Set<HeldManifest>();
    const letGo = (manifest: HeldManifest): void => {
      if (gone.has(manifest) || manifest.isPinned) return;
      gone.add(manifest);
      for (const digest of manifest.names) {
        const left = (blobs.get(digest) ?? 0) - 1;
        blobs.set(digest, left);
        if (left === 0) bytes -= this.sizes.get(digest) ?? 0;
        const named = this.named(manifest, digest);
        if (named === undefined) continue;
        named.namedBy -= 1;
        if (named.namedBy === 0) letGo(named);
      }
    };
    const order = (a: HeldManifest, b: HeldManifest): number =>
      compare(a.doomedMs, b.doomedMs) || compare(a.sinceMs, b.sinceMs);
    for (const manifest of all.filter(({ namedBy }) => namedBy === 0).sort(order)) {
      if (bytes <= maxBytes) break;
      letGo(manifest);
    }
    return [...gone];
  }

  private named({ repository, digest: own }: HeldManifest, digest: Digest): HeldManifest | undefined {
    return digest === own ? undefined : this.manifests.get(keyOf(repository, digest));
  }
}

const keyOf = (repository: string, digest: Digest): string => `${repository}@${digest}`;

const compare = (a: number, b: number): number => (a === b ? 0 : a < b ? -1 : 1);
