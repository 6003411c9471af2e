/** What names in FROM and `--from` stand for when the request says so: before stages and images of that name. */
import { type Digest, formatPlatform, parsePlatform, type Platform } from '../../oci/index.js';
import type { LocalContext, NamedContext } from '../types.js';

export class NamedContexts {
  private readonly byName: ReadonlyMap<string, LocalContext>;

  /** @throws AppError PLATFORM_INVALID */
  constructor(contexts: Readonly<Record<string, LocalContext>>) {
    this.byName = new Map(Object.entries(contexts).map(([name, context]) => [keyOf(name), context]));
  }

  /**
   * What is given for the platform, else for all of them.
   * @param name as the Dockerfile has it: `alpine`, `alpine:latest` and `docker.io/library/alpine` are one name
   */
  find(name: string, platform: Platform): LocalContext | undefined {
    const key = familiar(name);
    // These two mean what they mean, whatever is given.
    if (/^(scratch|context)$/i.test(key)) return undefined;
    return this.byName.get(`${key}::${formatPlatform(platform)}`) ?? this.byName.get(key);
  }
}

/** `name` or `name::platform`. */
function keyOf(name: string): string {
  const [bare = '', platform] = name.split('::');
  return platform === undefined ? familiar(bare) : `${familiar(bare)}::${formatPlatform(parsePlatform(platform))}`;
}

function familiar(name: string): string {
  return name
    .replace(/^(?:index\.)?docker\.io\//, '')
    .replace(/^library\//, '')
    .replace(/:latest$/, '');
}

/** The digest of the context that a name brings, if it was sent. */
export function sentContext(named: NamedContext): readonly Digest[] {
  if ('layout' in named) return [named.layout];
  return 'context' in named ? [named.context] : [];
}
