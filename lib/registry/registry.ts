/** The registry as one object: its parts share one set of records, and together they are `Images` for the house. */
import { AppError } from '../errors/index.js';
import { type Descriptor, type Digest, parseDigest } from '../oci/index.js';
import type { Clock, ContentStore, Ids, RecordStore, SecretStore } from '../store/index.js';
import { Blobs } from './blobs.js';
import { checkRepositoryName, manifestUnknown, nameUnknown } from './errors.js';
import { Manifests } from './manifests.js';
import { Referrers } from './referrers.js';
import { type Page, Repositories } from './repositories.js';
import { RepositoryPatterns } from './repository-patterns.js';
import { Tags } from './tags.js';
import type { AttachedManifest, Images, StoredManifest, TagEntry } from './types.js';
import { Uploads } from './uploads.js';

export interface RegistryDeps {
  readonly records: RecordStore;
  readonly content: ContentStore;
  readonly secrets: SecretStore;
  readonly clock: Clock;
  readonly ids: Ids;
}

/** @example const registry = new Registry({ records, content, secrets, clock, ids }) */
export class Registry implements Images {
  /** The parts, for the registry's own fronts; the rest of the house uses the methods below. */
  readonly catalog: Repositories;
  readonly blobs: Blobs;
  readonly uploads: Uploads;
  readonly tagList: Tags;
  readonly manifests: Manifests;
  readonly referrers: Referrers;
  /** Anyone may pull them. */
  readonly publicRepositories: RepositoryPatterns;
  /** They take a manifest that names what is not there. */
  readonly sparseRepositories: RepositoryPatterns;

  constructor(deps: RegistryDeps) {
    this.catalog = new Repositories(deps);
    this.blobs = new Blobs({ ...deps, repositories: this.catalog });
    this.uploads = new Uploads({ ...deps, blobs: this.blobs });
    this.tagList = new Tags(deps);
    this.sparseRepositories = new RepositoryPatterns(deps, 'sparse');
    this.manifests = new Manifests({
      ...deps,
      repositories: this.catalog,
      blobs: this.blobs,
      tags: this.tagList,
      sparse: this.sparseRepositories,
    });
    this.referrers = new Referrers({ ...deps, manifests: this.manifests });
    this.publicRepositories = new RepositoryPatterns(deps, 'public');
  }

  async manifest(
    repository: string,
    reference: { readonly tag: string } | { readonly digest: Digest },
  ): Promise<StoredManifest | undefined> {
    checkRepositoryName(repository);
    const digest = 'digest' in reference ? reference.digest : await this.tagList.resolve(repository, reference.tag);
    return digest === undefined ? undefined : this.manifests.get(repository, digest);
  }

  async putManifest(
    repository: string,
    bytes: Uint8Array,
    mediaType: string,
    tags: readonly string[],
  ): Promise<Descriptor> {
    checkRepositoryName(repository);
    return (await this.manifests.put(repository, bytes, mediaType, { tags })).descriptor;
  }

  async linkBlob(repository: string, digest: Digest): Promise<void> {
    checkRepositoryName(repository);
    await this.blobs.link(repository, digest);
  }

  async repositories(options: { readonly after?: string; readonly limit?: number } = {}): Promise<readonly string[]> {
    return (await this.catalog.list(options)).items;
  }

  async tags(repository: string): Promise<readonly TagEntry[] | undefined> {
    if (!(await this.catalog.exists(repository))) return undefined;
    const all: TagEntry[] = [];
    for (;;) {
      const after = all.at(-1)?.tag;
      const page = await this.tagList.list(repository, { limit: 1000, ...(after === undefined ? {} : { after }) });
      all.push(...page.items);
      if (!page.more) return all;
    }
  }

  /** What belongs to a manifest: its referrers, and what tools tag with its digest, as in `sha256-<hex>.sig`. */
  async *attachedTo(repository: string, digest: Digest): AsyncGenerator<AttachedManifest> {
    let next: Digest | undefined;
    do {
      const page = await this.referrers.list(repository, digest, next === undefined ? {} : { after: next });
      for (const referrer of page.descriptors) yield { digest: referrer.digest };
      next = page.next === undefined ? undefined : parseDigest(page.next);
    } while (next !== undefined);
    const prefix = `${digest.replace(':', '-')}.`;
    let after: string | undefined = prefix;
    while (after !== undefined) {
      const page: Page<TagEntry> = await this.tagList.list(repository, { after });
      for (const { tag, digest: target } of page.items) {
        if (!tag.startsWith(prefix)) return;
        yield { digest: target, tag };
      }
      after = page.more ? page.items.at(-1)?.tag : undefined;
    }
  }

  /**
   * Takes a tag away; the manifest stays.
   * @throws AppError NAME_UNKNOWN, MANIFEST_UNKNOWN
   */
  async deleteTag(repository: string, tag: string): Promise<void> {
    await this.expectRepository(repository);
    if (!(await this.tagList.delete(repository, tag))) throw manifestUnknown(repository, tag);
  }

  /**
   * Takes a manifest away, and every tag that points at it.
   * @throws AppError NAME_UNKNOWN, MANIFEST_UNKNOWN
   */
  async deleteManifest(repository: string, digest: Digest): Promise<void> {
    await this.expectRepository(repository);
    if (!(await this.manifests.delete(repository, digest))) throw manifestUnknown(repository, digest);
  }

  /**
   * Points a tag at where it pointed before it was deleted, or at one of the places it pointed at in the last seven
   * days. What was deleted with it comes back.
   * @param digest one of `tagList.history`; the newest when absent, and then the tag must not be there
   * @throws AppError NAME_UNKNOWN, MANIFEST_UNKNOWN, TAG_EXISTS
   */
  async undelete(repository: string, tag: string, digest?: Digest): Promise<Digest> {
    await this.expectRepository(repository);
    if (digest === undefined && (await this.tagList.resolve(repository, tag)) !== undefined) {
      throw new AppError('TAG_EXISTS', `${repository}:${tag} is there`, {
        kind: 'conflict',
        hint: 'name the digest it is to point at, one of its history',
      });
    }
    const history = await this.tagList.history(repository, tag);
    const target = history.find((entry) => entry.digest !== undefined && (digest ?? entry.digest) === entry.digest);
    if (target?.digest === undefined || !(await this.manifests.restore(repository, target.digest, tag))) {
      throw manifestUnknown(repository, digest ?? tag);
    }
    return target.digest;
  }

  private async expectRepository(repository: string): Promise<void> {
    checkRepositoryName(repository);
    if (await this.catalog.exists(repository)) return;
    throw nameUnknown(repository);
  }
}
