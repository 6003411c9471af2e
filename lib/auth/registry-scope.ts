/**
 * Registry scopes: `repository:<name>:<action>,<action>` as challenge, token request and token claim write them
 * (distribution, docs/spec/auth/scope.md). Lenient in reading: what cannot be understood grants nothing.
 */
import { isRepositoryName } from '../oci/index.js';

export type RepositoryAction = 'pull' | 'push' | 'delete';

/** One entry of a registry token's `access` claim. */
export interface Access {
  readonly type: 'repository' | 'registry';
  /** A repository, or `catalog` of the registry. */
  readonly name: string;
  /** For the catalogue: `*`. */
  readonly actions: readonly string[];
}

export const REPOSITORY_ACTIONS: readonly RepositoryAction[] = ['pull', 'push', 'delete'];

/**
 * Reads the scopes of a token request; each text may hold several, parted by blanks. Entries for the same
 * repository are joined.
 */
export function parseScopes(texts: readonly string[]): readonly Access[] {
  const wanted = new Map<string, Access>();
  for (const text of texts.flatMap((each) => each.split(' '))) {
    const access = parseScope(text);
    if (access === undefined) continue;
    const key = `${access.type}:${access.name}`;
    const actions = new Set([...(wanted.get(key)?.actions ?? []), ...access.actions]);
    wanted.set(key, { ...access, actions: [...actions] });
  }
  return [...wanted.values()];
}

/** @example formatScope({ type: 'repository', name: 'team/app', actions: ['pull', 'push'] }) === 'repository:team/app:pull,push' */
export function formatScope(access: Access): string {
  return `${access.type}:${access.name}:${access.actions.join(',')}`;
}

function parseScope(text: string): Access | undefined {
  const first = text.indexOf(':');
  const last = text.lastIndexOf(':');
  if (first < 0 || last === first) return undefined;
  // `repository(plugin)` names a resource class; the class changes nothing here.
  const type = text.slice(0, first).replace(/\([a-z0-9]+\)$/, '');
  const name = text.slice(first + 1, last);
  const asked = text.slice(last + 1).split(',');
  if (type === 'registry') {
    return name === 'catalog' && asked.includes('*') ? { type, name, actions: ['*'] } : undefined;
  }
  if (type !== 'repository' || !isRepositoryName(name)) return undefined;
  const actions = REPOSITORY_ACTIONS.filter((action) => asked.includes(action) || asked.includes('*'));
  return { type, name, actions };
}
