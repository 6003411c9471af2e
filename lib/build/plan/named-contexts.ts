/** What names in FROM and `--from` stand for when the request says so: before stages and images of that name. */
import type { Digest } from '../../oci/index.js';
import type { LocalContext, NamedContext } from '../types.js';

export class NamedContexts {
  private readonly byName: ReadonlyMap<string, LocalContext>;

  constructor(contexts: Readonly<Record<string, LocalContext>>) {
    this.byName = new Map(Object.entries(contexts).map(([name, context]) => [familiar(name), context]));
  }

  /** @param name as the Dockerfile has it: `alpine`, `alpine:latest` and `docker.io/library/alpine` are one name */
  find(name: string): LocalContext | undefined {
    return this.byName.get(familiar(name));
  }
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
