/**
 * The caches that a request names: asked, in their order, for steps that our own does not have. What they say counts
 * for this build only (docs/decisions/0111). A cache that is not there, or cannot be read, is a warning.
 */
import { AppError } from '../../errors/index.js';
import { parseReference } from '../../oci/index.js';
import { isOutage } from '../../store/index.js';
import type { StoredManifest } from '../../registry/index.js';
import type { EmitEvent } from '../build-log.js';
import { type BaseImageDeps, ownSource, remoteSource } from '../images/base-image.js';
import type { ImageSource } from '../images/image-source.js';
import type { LayoutImages } from '../images/layout-images.js';
import type { CachedStep } from '../solve/step-cache.js';
import type { CacheSource } from '../types.js';
import { readCache } from './read-cache.js';

export interface ImportDeps extends Omit<BaseImageDeps, 'allowDockerHub'> {
  readonly layouts: Pick<LayoutImages, 'look'>;
  readonly emit: EmitEvent;
}

/** One cache that was read. */
interface ReadCache {
  /** As messages name it. */
  readonly name: string;
  readonly source: ImageSource;
  readonly steps: ReadonlyMap<string, CachedStep>;
}

export class ImportedCaches {
  /** Caches that were asked for a step, and whether they had one. */
  private readonly helped = new Map<ReadCache, boolean>();

  private constructor(
    private readonly caches: readonly ReadCache[],
    private readonly deps: Pick<ImportDeps, 'content' | 'emit'>,
  ) {}

  /** Reads what the caches list; undefined when none is named. */
  static async open(deps: ImportDeps, sources: readonly CacheSource[]): Promise<ImportedCaches | undefined> {
    if (sources.length === 0) return undefined;
    const caches: ReadCache[] = [];
    for (const source of sources) {
      const cache = await openCache(deps, source);
      if (cache !== undefined) caches.push(cache);
    }
    return new ImportedCaches(caches, deps);
  }

  /** The step from the first cache that knows the key and still has the layer. */
  async find(key: string): Promise<CachedStep | undefined> {
    for (const cache of this.caches) {
      const step = await this.stepOf(cache, key);
      this.helped.set(cache, step !== undefined || this.helped.get(cache) === true);
      if (step !== undefined) return step;
    }
    return undefined;
  }

  /** Says which caches have steps, and none that was asked for: nobody should wonder. */
  tellIdle(): void {
    for (const [{ name, steps }, helped] of this.helped) {
      if (helped || steps.size === 0) continue;
      const text = `cache ${name}: none of its steps is one that this build was missing`;
      this.deps.emit({ type: 'message', text: `${text}; what BuildKit wrote has other keys` });
    }
  }

  private async stepOf({ name, source, steps }: ReadCache, key: string): Promise<CachedStep | undefined> {
    const step = steps.get(key);
    if (step === undefined) return undefined;
    const isHere = (await this.deps.content.stat(step.descriptor.digest)) !== undefined;
    const isThere = isHere || (await source.has(step.descriptor).catch(() => false));
    return isThere ? { ...step, importedFrom: name } : undefined;
  }
}

async function openCache(deps: ImportDeps, wanted: CacheSource): Promise<ReadCache | undefined> {
  const name = wanted.type === 'registry' ? wanted.ref : 'the local cache';
  try {
    const { source, stored } = await placeOf(deps, wanted);
    if (stored === undefined) {
      deps.emit({ type: 'warning', message: `cache ${name} is not there, so nothing is taken from it` });
      return undefined;
    }
    const read = await readCache(source, stored);
    const text = read.length === 0 ? 'it has no steps' : `it has ${read.length} keys of steps`;
    deps.emit({ type: 'message', text: `cache ${name}: ${text}` });
    return { name, source, steps: new Map(read.map(({ key, step }) => [key, step])) };
  } catch (error) {
    if (!(error instanceof AppError) || isOutage(error)) throw error;
    const { code, message, hint } = error;
    const more = hint === undefined ? '' : ` (${hint})`;
    deps.emit({ type: 'warning', message: `cache ${name} cannot be read: ${code}: ${message}${more}` });
    return undefined;
  }
}

async function placeOf(
  { images, content, registryHosts, remote, signal, layouts }: ImportDeps,
  wanted: CacheSource,
): Promise<{ readonly source: ImageSource; readonly stored: StoredManifest | undefined }> {
  if (wanted.type === 'local') return layouts.look(wanted);
  const { registry, repository, tag = 'latest', digest } = parseReference(wanted.ref);
  if (registry !== undefined && !registryHosts.includes(registry) && remote === undefined) {
    throw new AppError('BUILD_UNSUPPORTED_REGISTRY', `this builder does not pull from ${registry}`, {
      kind: 'unsupported',
      hint: 'a cache in this registry, named without a host',
    });
  }
  const source =
    registry === undefined || registryHosts.includes(registry) || remote === undefined
      ? ownSource({ images, content }, repository)
      : await remoteSource(remote, registry, repository, signal);
  return { source, stored: await source.manifest(digest === undefined ? { tag } : { digest }) };
}
