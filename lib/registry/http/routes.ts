/**
 * The end-points of the distribution-spec as a table. Repository names contain slashes, so a path is read from its
 * end; what a route needs is written beside it and checked in one place.
 */
import type { RepositoryAction } from '../../auth/index.js';

export type RouteName =
  | 'ping'
  | 'catalog'
  | 'tags'
  | 'referrers'
  | 'manifest-read'
  | 'manifest-put'
  | 'manifest-delete'
  | 'blob-read'
  | 'blob-delete'
  | 'upload-start'
  | 'upload-status'
  | 'upload-append'
  | 'upload-commit'
  | 'upload-cancel';

export interface Route {
  readonly name: RouteName;
  /** The end-points of the specification's table that this serves. */
  readonly ends: string;
  readonly methods: readonly string[];
  /** First group the repository, second the reference. */
  readonly path: RegExp;
  /** `login`: any valid credentials. */
  readonly needs: 'login' | 'catalog' | RepositoryAction;
}

const UPLOADS = /^\/v2\/(.+)\/blobs\/uploads\/?$/;
const UPLOAD = /^\/v2\/(.+)\/blobs\/uploads\/([^/]+)$/;
const BLOB = /^\/v2\/(.+)\/blobs\/([^/]+)$/;
const MANIFEST = /^\/v2\/(.+)\/manifests\/([^/]+)$/;

/** No path fits two of these patterns with the same method. */
export const ROUTES: readonly Route[] = [
  { name: 'ping', ends: '1', methods: ['GET', 'HEAD'], path: /^\/v2\/?$/, needs: 'login' },
  { name: 'catalog', ends: '-', methods: ['GET'], path: /^\/v2\/_catalog$/, needs: 'catalog' },
  { name: 'upload-start', ends: '4a 4b 4c 11', methods: ['POST'], path: UPLOADS, needs: 'push' },
  { name: 'upload-status', ends: '13', methods: ['GET'], path: UPLOAD, needs: 'push' },
  { name: 'upload-append', ends: '5', methods: ['PATCH'], path: UPLOAD, needs: 'push' },
  { name: 'upload-commit', ends: '6', methods: ['PUT'], path: UPLOAD, needs: 'push' },
  { name: 'upload-cancel', ends: '14', methods: ['DELETE'], path: UPLOAD, needs: 'push' },
  { name: 'blob-read', ends: '2', methods: ['GET', 'HEAD'], path: BLOB, needs: 'pull' },
  { name: 'blob-delete', ends: '10', methods: ['DELETE'], path: BLOB, needs: 'delete' },
  { name: 'manifest-read', ends: '3', methods: ['GET', 'HEAD'], path: MANIFEST, needs: 'pull' },
  { name: 'manifest-put', ends: '7a 7b', methods: ['PUT'], path: MANIFEST, needs: 'push' },
  { name: 'manifest-delete', ends: '9', methods: ['DELETE'], path: MANIFEST, needs: 'delete' },
  { name: 'tags', ends: '8a 8b', methods: ['GET'], path: /^\/v2\/(.+)\/tags\/list$/, needs: 'pull' },
  { name: 'referrers', ends: '12a 12b', methods: ['GET'], path: /^\/v2\/(.+)\/referrers\/([^/]+)$/, needs: 'pull' },
];

export type RouteMatch =
  | { readonly outcome: 'found'; readonly route: Route; readonly repository: string; readonly reference: string }
  /** The path is one of ours, the method is not. */
  | { readonly outcome: 'wrong-method'; readonly allowed: readonly string[] }
  | { readonly outcome: 'absent' };

/** @param path as sent, still percent-encoded */
export function matchRoute(method: string, path: string): RouteMatch {
  const allowed: string[] = [];
  for (const route of ROUTES) {
    const match = route.path.exec(path);
    if (match === null) continue;
    if (!route.methods.includes(method)) {
      allowed.push(...route.methods);
      continue;
    }
    return { outcome: 'found', route, repository: decode(match[1]), reference: decode(match[2]) };
  }
  return allowed.length > 0 ? { outcome: 'wrong-method', allowed: [...new Set(allowed)] } : { outcome: 'absent' };
}

/** A part that is not well encoded stays as it is, and is refused as the name or digest it is not. */
function decode(part: string | undefined): string {
  try {
    return decodeURIComponent(part ?? '');
  } catch {
    return part ?? '';
  }
}
