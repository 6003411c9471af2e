/**
 * `--cache-from` and `--cache-to`: caches at registries are only named, one in a folder of this machine is sent as a
 * context before the build, and fetched into the folder after it.
 */
import { resolve } from 'node:path';
import type { BuildResult, CacheSource, CacheTarget } from '../build/index.js';
import {
  cacheFields,
  cacheSourceOf,
  cacheTargetOf,
  cacheTexts,
  isTrue,
  neededField,
} from '../http/cache-options/index.js';
import type { ByteSource } from '../store/index.js';
import { readCacheFolder, writeCacheFolder } from './cache-folder.js';
import type { CommandDeps } from './deps.js';
import { withContext } from './send-context.js';

interface LocalSource {
  readonly folder: string;
  /** Of index.json; a digest counts more. */
  readonly tag: string;
  readonly digest?: string;
}

interface LocalTarget {
  readonly folder: string;
  readonly tag: string;
  /** What the folder's index does not name any more goes. */
  readonly reset: boolean;
}

export interface WantedCaches {
  readonly from: readonly (CacheSource | LocalSource)[];
  readonly to?: readonly CacheTarget[];
  /** Where those go that are local, by their place in `to`. */
  readonly folders: ReadonlyMap<number, LocalTarget>;
}

/** Refuses before anything is sent. @throws AppError CACHE_OPTION_INVALID, CACHE_UNSUPPORTED_… */
export function parseCaches(options: {
  readonly cacheFrom?: readonly string[];
  readonly cacheTo?: readonly string[];
}): WantedCaches {
  const cacheTo = options.cacheTo && cacheTexts(options.cacheTo);
  const folders = new Map<number, LocalTarget>();
  const to = cacheTo?.map((text, i) => {
    const target = cacheTargetOf(text);
    const fields = cacheFields('cache-to', text);
    if (target.type === 'local') {
      const folder = neededField('cache-to', text, fields, 'dest');
      folders.set(i, { folder, tag: fields.get('tag') ?? 'latest', reset: isTrue(text, fields, 'reset') });
    }
    return target;
  });
  const from = cacheTexts(options.cacheFrom ?? []).map(sourceOf);
  return { from, folders, ...(to === undefined || to.length === 0 ? {} : { to }) };
}

function sourceOf(text: string): CacheSource | LocalSource {
  const fields = cacheFields('cache-from', text);
  if (fields.get('type') !== 'local') return cacheSourceOf(text);
  const digest = fields.get('digest');
  return {
    folder: neededField('cache-from', text, fields, 'src'),
    tag: fields.get('tag') ?? 'latest',
    ...(digest === undefined ? {} : { digest }),
  };
}

/** Runs `use` with the sources as a request has them. A folder without a cache is told and left out, as with docker. */
export function withCaches<T>(
  deps: CommandDeps,
  [first, ...rest]: WantedCaches['from'],
  use: (sources: readonly CacheSource[]) => Promise<T>,
  known: readonly CacheSource[] = [],
): Promise<T> {
  if (first === undefined) return use(known);
  if ('type' in first) return withCaches(deps, rest, use, [...known, first]);
  const folder = resolve(deps.cwd, first.folder);
  const found = readCacheFolder(folder, first);
  if ('skipped' in found) {
    deps.output.say(`warning: local cache import at ${first.folder} skipped: ${found.skipped}\n`);
    return withCaches(deps, rest, use, known);
  }
  const { digest: reference, exclude } = found;
  const context = { folder, name: `cache-${first.tag}`, withoutDockerfile: true, exclude };
  return withContext(deps, context, (layout) =>
    withCaches(deps, rest, use, [...known, { type: 'local', layout, reference }]),
  );
}

/** Fetches what the build wrote for folders. */
export async function writeCaches(
  id: string,
  { caches = [] }: Pick<BuildResult, 'caches'>,
  { folders }: WantedCaches,
  { cwd, client, interrupted }: CommandDeps,
): Promise<void> {
  for (const [i, { folder, tag, reset }] of folders) {
    const digest = caches[i]?.digest;
    if (digest === undefined) continue;
    const tar = await client.builds.cache(id, digest, { signal: interrupted });
    await writeCacheFolder(tar as ByteSource, resolve(cwd, folder), { tag, reset });
  }
}
