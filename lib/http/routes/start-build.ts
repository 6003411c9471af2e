/** What starts a build: its request, from a query beside a tar or from JSON, checked before anything is read. */
import * as z from 'zod';
import {
  type Build,
  type BuildRequest as WantedBuild,
  checkCaches,
  type NamedContext,
  sentCaches,
  sentContext,
  SentContexts,
} from '../../build/index.js';
import { AppError } from '../../errors/index.js';
import { type Digest, parsePlatform, parseReference } from '../../oci/index.js';
import { defined } from '../../platform/index.js';
import type { ApiDeps, ApiOptions } from '../api-deps.js';
import { cacheSourceOf, cacheTargetOf, cacheTexts } from '../cache-options/index.js';
import { mediaTypeOf, parseWith, queryObject, readJson, wantsText } from '../input.js';
import type { Call, Reply } from '../route.js';
import { type BuildQuery, BuildStart, isSet } from '../schemas/index.js';
import { annotationsOf, attestationsOf, compressionOf, pairsOf } from '../text/index.js';
import { buildAsText } from './build-progress.js';
import { ownerOf, storeContext } from './contexts.js';

/** Of a tar in the body, a context sent before, or a request as JSON. */
export async function startBuild(
  deps: ApiDeps,
  options: ApiOptions,
  call: Call,
  query: z.output<typeof BuildQuery>,
): Promise<Reply | Response> {
  const key = call.idempotency.keyOf(call);
  const isJson = mediaTypeOf(call.request) === 'application/json';
  if (isJson) parseWith(z.strictObject({}), queryObject(call.url, z.strictObject({})), 'query');
  const start = isJson ? parseWith(BuildStart, await readJson(call.request), 'body') : undefined;
  const { secrets, ssh = {}, ...body } = start ?? { secrets: {} };
  const request =
    'context' in body ? await contextRequest(deps, call, body) : await tarRequest(deps, options, call, query);
  const keys = Object.entries(ssh).map(
    ([id, values]) => [id, values.map((key) => Buffer.from(key, 'base64'))] as const,
  );
  const submit = async (): Promise<Reply> => {
    const owner = ownerOf(call);
    const build = await deps.builds.submit(request, {
      owner,
      secrets: bytesOf(secrets),
      ssh: new Map(keys),
      ...(key === undefined ? {} : { idempotencyKey: `${owner}/${key}` }),
    });
    return { status: 202, body: build, headers: { location: `/v1/builds/${build.id}` } };
  };
  const reply = await call.idempotency.run(call, 'startBuild', request, submit);
  if (!wantsText(call.request)) return reply;
  return buildAsText(deps, options, reply.body as Build, call);
}

async function contextRequest(
  deps: ApiDeps,
  call: Call,
  body: Omit<z.output<typeof BuildStart>, 'secrets' | 'ssh'>,
): Promise<WantedBuild> {
  checkNames(body.tags, [...(body.platforms ?? []), ...(body.platform === undefined ? [] : [body.platform])]);
  const { context, contexts = {} } = body;
  const named = Object.values(contexts).flatMap((each) => sentContext(each as NamedContext));
  const caches = sentCaches(body as Pick<WantedBuild, 'cacheFrom'>);
  for (const each of [...(typeof context === 'string' ? [context] : []), ...named, ...caches]) {
    await checkContext(deps, call, each as Digest);
  }
  // The schema has checked that they are digests.
  return body as WantedBuild;
}

/** @throws AppError CONTEXT_NOT_FOUND */
async function checkContext(deps: ApiDeps, call: Call, context: Digest): Promise<void> {
  if (await new SentContexts(deps).has(context, ownerOf(call))) return;
  throw new AppError('CONTEXT_NOT_FOUND', `there is no context ${context}`, {
    kind: 'not-found',
    hint: 'upload it first: POST /v1/contexts',
  });
}

async function tarRequest(
  deps: ApiDeps,
  options: ApiOptions,
  call: Call,
  query: z.output<typeof BuildQuery>,
): Promise<WantedBuild> {
  checkNames(query.tag ?? [], query.platform ?? []);
  const cacheFrom = query['cache-from'] && cacheTexts(query['cache-from']).map(cacheSourceOf);
  const cacheTo = query['cache-to'] && cacheTexts(query['cache-to']).map(cacheTargetOf);
  checkCaches({ ...(cacheFrom === undefined ? {} : { cacheFrom }), ...(cacheTo === undefined ? {} : { cacheTo }) });
  const context = query.context as Digest | undefined;
  if (context !== undefined) await checkContext(deps, call, context);
  return defined({
    context: context ?? (await storeContext(deps, options, call)).digest,
    dockerfile: query.dockerfile,
    tags: query.tag ?? [],
    target: query.target,
    args: query.arg === undefined ? undefined : pairsOf(query.arg),
    labels: query.label === undefined ? undefined : pairsOf(query.label),
    platform: query.platform?.length === 1 ? query.platform[0] : undefined,
    platforms: query.platform !== undefined && query.platform.length > 1 ? query.platform : undefined,
    noCache: yes(query['no-cache']),
    noCacheFilter: query['no-cache-filter'],
    compression: query.compression === undefined ? undefined : compressionOf(query.compression),
    annotations: query.annotation === undefined ? undefined : annotationsOf(query.annotation),
    attestations: query.attest === undefined ? undefined : attestationsOf(query.attest),
    cacheFrom,
    cacheTo,
    check: yes(query.check),
    plan: yes(query.plan),
    outline: yes(query.outline),
    targets: yes(query.targets),
  });
}

function yes(value: Parameters<typeof isSet>[0]): true | undefined {
  return isSet(value) ? true : undefined;
}

/** What would be refused after the upload is refused before it. */
function checkNames(tags: readonly string[], platforms: readonly string[]): void {
  for (const name of tags) {
    const { digest } = parseReference(name);
    if (digest === undefined) continue;
    throw new AppError('TAG_INVALID', `tag ${name} has a digest`, {
      hint: 'repository[:tag]: the digest is what the build finds out',
    });
  }
  platforms.forEach(parsePlatform);
}

/** From base64. */
function bytesOf(values: Readonly<Record<string, string>> = {}): ReadonlyMap<string, Uint8Array> {
  return new Map(Object.entries(values).map(([id, value]) => [id, Buffer.from(value, 'base64')]));
}
