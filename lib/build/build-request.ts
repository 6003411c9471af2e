/** A request before it is a build: what can be refused of it at once, and which contexts in the store it stands on. */
import { type Digest, parsePlatform } from '../oci/index.js';
import { contextAddress } from './context/fetched-contexts.js';
import { parseTag } from './export/export.js';
import { checkForm } from './export/image-form.js';
import { sentContext } from './plan/named-contexts.js';
import { checkCaches, sentCaches } from './remote-cache/cache-request.js';
import { checkRunSettings } from './run-settings.js';
import type { BuildRequest, RemoteContext } from './types.js';

/** @throws AppError BUILD_TAG_INVALID, PLATFORM_INVALID, BUILD_MEDIA_TYPES, BUILD_RUN_SETTING_INVALID, BUILD_REMOTE_INVALID, … */
export function checkRequest(request: BuildRequest): void {
  for (const tag of request.tags) parseTag(tag);
  if (request.platform !== undefined) parsePlatform(request.platform);
  for (const platform of request.platforms ?? []) parsePlatform(platform);
  checkForm(request);
  if (request.run !== undefined) checkRunSettings(request.run);
  for (const remote of remotesOf(request)) contextAddress(remote);
  checkCaches(request);
}

function remotesOf({ context, contexts = {} }: BuildRequest): readonly RemoteContext[] {
  const all = [...(typeof context === 'string' ? [] : [context]), ...Object.values(contexts)];
  return all.flatMap((each) => ('url' in each ? [each] : []));
}

/** Digests of all contexts of a build that are in the store, each once. */
export function contextsOf({ context, contexts = {}, cacheFrom = [] }: BuildRequest): readonly Digest[] {
  const others = [...Object.values(contexts).flatMap(sentContext), ...sentCaches({ cacheFrom })];
  return [...new Set([...(typeof context === 'string' ? [context] : []), ...others])];
}
