/** Caches of other registries: which prefix of our repositories stands for which host. */
import * as z from 'zod';
import { AppError } from '../../errors/index.js';
import { isRepositoryName, parseReference } from '../../oci/index.js';
import { DEFAULT_KEEP_SECONDS, DEFAULT_TAG_TTL_SECONDS } from '../../registry/cache/index.js';
import type { ApiDeps } from '../api-deps.js';
import { route, type Route } from '../route.js';
import { listOf, RefreshedTag, RefreshRequest, Upstream, UpstreamRequest } from '../schemas/index.js';

const common = { tag: 'Registry', access: 'admin' } as const;

export function registryUpstreamRoutes(deps: ApiDeps): readonly Route[] {
  const params = z.strictObject({
    prefix: z.string().refine(isRepositoryName, { error: 'is no beginning of repository names' }),
  });
  return [
    route('GET', '/v1/registry/upstreams', {
      ...common,
      id: 'listUpstreams',
      summary: 'Prefixes of repositories that are caches of other registries',
      answers: [{ status: 200, description: 'By prefix', schema: listOf('upstreams', Upstream) }],
      handler: async () => ({ body: { upstreams: await deps.caches.upstreams.list() } }),
    }),
    route('PUT', '/v1/registry/upstreams/{prefix+}', {
      ...common,
      id: 'putUpstream',
      summary: 'Makes repositories below a prefix caches of another registry',
      params,
      body: UpstreamRequest,
      answers: [{ status: 200, description: 'The upstream', schema: Upstream }],
      handler: async ({ params: { prefix }, body }) => {
        const upstream = {
          tagTtlSeconds: DEFAULT_TAG_TTL_SECONDS,
          keepSeconds: DEFAULT_KEEP_SECONDS,
          ...body,
          prefix,
        };
        await deps.caches.upstreams.put(upstream);
        return { body: upstream };
      },
    }),
    route('DELETE', '/v1/registry/upstreams/{prefix+}', {
      ...common,
      id: 'deleteUpstream',
      summary: 'Ends the caching; what was cached stays, as ordinary repositories',
      params,
      answers: [{ status: 204, description: 'It is no cache any more' }],
      handler: async ({ params: { prefix } }) => {
        if (await deps.caches.upstreams.delete(prefix)) return { status: 204 };
        throw new AppError('UPSTREAM_NOT_FOUND', `there is no upstream for ${prefix}`, { kind: 'not-found' });
      },
    }),
    route('POST', '/v1/registry/refreshes', {
      ...common,
      id: 'refreshTag',
      summary: 'Looks a tag of a cache up at its upstream now',
      access: 'deploy',
      body: RefreshRequest,
      isReplayable: false,
      answers: [{ status: 200, description: 'Where it points now', schema: RefreshedTag }],
      handler: async ({ body }) => ({ body: await refresh(deps, body.image) }),
    }),
  ];
}

async function refresh(deps: ApiDeps, image: string): Promise<object> {
  const { repository, registry, tag = 'latest' } = parseReference(image);
  const { cache } = deps.caches;
  if (registry !== undefined || !(await cache.covers(repository))) {
    throw new AppError('NOT_A_CACHE', `${image} is not in a cache of another registry`, {
      hint: 'wharf registry upstream ls shows the prefixes of caches',
    });
  }
  const before = await deps.registry.tagList.resolve(repository, tag);
  if ((await cache.ensureManifest(repository, { tag }, { refresh: true })) === 'stale') {
    throw new AppError('UPSTREAM_FAILED', `the upstream of ${image} could not be asked; what was last seen is served`, {
      kind: 'unavailable',
      hint: 'again in a little while; the log of the platform says what it answered',
    });
  }
  const digest = await deps.registry.tagList.resolve(repository, tag);
  if (digest === undefined) {
    throw new AppError('IMAGE_NOT_FOUND', `its upstream has no ${image}`, { kind: 'not-found' });
  }
  return { repository, tag, digest, changed: digest !== before };
}
