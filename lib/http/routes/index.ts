/** The table: everything the API does, in the order the document shows it. */
import type { ApiDeps, ApiOptions } from '../api-deps.js';
import type { Route } from '../route.js';
import { buildRoutes } from './builds.js';
import { clusterRoutes } from './clusters.js';
import { contextRoutes } from './contexts.js';
import { eventRoutes } from './events.js';
import { imageCopyRoutes } from './image-copies.js';
import { imageRoutes } from './images.js';
import { registryAccessRoutes } from './registry-access.js';
import { registryLoginRoutes } from './registry-logins.js';
import { registryUpstreamRoutes } from './registry-upstreams.js';
import { registryRoutes } from './registry.js';
import { sandboxRoutes } from './sandboxes.js';
import { secretRoutes } from './secrets.js';
import { serviceRoutes } from './services.js';
import { tagHistoryRoutes } from './tag-history.js';
import { taskRoutes } from './tasks.js';
import { tokenRoutes } from './tokens.js';

export function apiRoutes(deps: ApiDeps, options: ApiOptions): readonly Route[] {
  return [
    ...contextRoutes(deps, options),
    ...buildRoutes(deps, options),
    ...imageRoutes(deps),
    ...imageCopyRoutes(deps, options),
    ...tagHistoryRoutes(deps),
    ...registryRoutes(deps, options),
    ...registryAccessRoutes(deps),
    ...registryLoginRoutes(deps),
    ...registryUpstreamRoutes(deps),
    ...clusterRoutes(deps),
    ...serviceRoutes(deps),
    ...taskRoutes(deps, options),
    ...secretRoutes(deps),
    ...eventRoutes(deps),
    ...tokenRoutes(deps),
    ...sandboxRoutes(deps),
  ];
}
