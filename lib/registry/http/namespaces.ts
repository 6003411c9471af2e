/**
 * The namespace a client names (`?ns=docker.io`; distribution-spec, Registry Proxying): set to ask us in place of an image's
 * own registry, it keeps the repository's name as it is there, and says beside it which host it means. Where that host
 * is an upstream, the repository is the one that caches it, for rights as for content. Any other namespace is passed
 * over, as the specification allows; that the answer does not repeat it tells the client.
 */
import type { RegistryCache } from '../cache/index.js';
import type { Reply } from './replies.js';
import type { RouteMatch } from './routes.js';

export interface NamedMatch {
  readonly match: RouteMatch;
  /** As it was named; absent: none, or passed over. */
  readonly namespace?: string;
}

/** Only who reads may name one: nobody pushes to a cache. */
export async function inNamespace(
  match: RouteMatch,
  query: URLSearchParams,
  cache: RegistryCache | undefined,
): Promise<NamedMatch> {
  const source = query.get('ns');
  if (source === null || cache === undefined || match.outcome !== 'found' || match.route.needs !== 'pull') {
    return { match };
  }
  const repository = await cache.cacheOf(source, match.repository);
  return repository === undefined ? { match } : { match: { ...match, repository }, namespace: source };
}

/** The answer, which tells that the namespace was heeded. */
export function saying(reply: Reply, { namespace }: NamedMatch): Reply {
  return namespace === undefined ? reply : { ...reply, headers: { ...reply.headers, 'oci-namespace': namespace } };
}
