/** Builds: started from a tar in the body or an uploaded context, followed as events or as text. */
import * as z from 'zod';
import {
  type Build,
  type BuildRequest as WantedBuild,
  builtArchive,
  builtCache,
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
import { type Call, type Reply, route, type Route } from '../route.js';
import { Build as BuildSchema, BuildQuery, BuildStart, digest, isSet, listOf, page } from '../schemas/index.js';
import { sseResponse, type StreamOptions, textResponse } from '../sse.js';
import { annotationsOf, attestationsOf, BuildText, compressionOf, pairsOf } from '../text/index.js';
import { archiveDeps, archiveOptions, ArchiveQuery, tarResponse } from './archives.js';
import { ownerOf, storeContext, TAR_BODIES } from './contexts.js';

export function buildRoutes(deps: ApiDeps, options: ApiOptions): readonly Route[] {
  const tag = 'Builds';
  const id = z.strictObject({ id: z.string().min(1) });
  const started = [
    {
      status: 202,
      description: 'The build; with Accept: text/plain its progress as text',
      schema: BuildSchema,
      streams: ['text/plain'],
    },
  ];
  const start = {
    tag,
    access: 'deploy',
    query: BuildQuery,
    binaryBody: TAR_BODIES,
    jsonForm: BuildStart,
    answers: started,
    isReplayable: true,
    handler: ({ call, query }: { readonly call: Call; readonly query: z.output<typeof BuildQuery> }) =>
      startBuild(deps, options, call, query),
  } as const;
  return [
    route('POST', '/v1/builds', {
      ...start,
      id: 'startBuild',
      summary: 'Builds from a tar in the body, or from an uploaded context: as JSON, or named in the query',
    }),
    route('PUT', '/v1/builds', { ...start, id: 'startBuildByPut', summary: 'The same, for curl -T' }),
    route('GET', '/v1/builds', {
      id: 'listBuilds',
      summary: 'Builds, newest first',
      tag,
      access: 'read',
      query: z.strictObject(page),
      answers: [{ status: 200, description: 'A page of builds', schema: listOf('builds', BuildSchema) }],
      handler: async ({ query }) => ({ body: await deps.builds.list(query) }),
    }),
    route('GET', '/v1/builds/{id}', {
      id: 'getBuild',
      summary: 'A build',
      tag,
      access: 'read',
      params: id,
      answers: [{ status: 200, description: 'The build', schema: BuildSchema }],
      handler: async ({ params }) => ({ body: await requireBuild(deps, params.id) }),
    }),
    route('GET', '/v1/builds/{id}/log', {
      id: 'followBuild',
      summary: 'The events of a build as they come, to the end; resumes by Last-Event-ID or after',
      tag,
      access: 'read',
      params: id,
      query: z.strictObject({ after: z.coerce.number().int().min(0).exactOptional() }),
      answers: [{ status: 200, description: 'Build events', streams: ['text/event-stream', 'text/plain'] }],
      handler: async ({ params, query, call }) => {
        const build = await requireBuild(deps, params.id);
        return wantsText(call.request)
          ? buildAsText(deps, options, build, call)
          : buildAsEvents(deps, options, build, call, lastEventId(call) ?? query.after ?? 0);
      },
    }),
    route('GET', '/v1/builds/{id}/image', {
      id: 'exportBuild',
      summary: 'The image a build made as one tar, also when it was given no name: soon after the build, then',
      tag,
      access: 'read',
      params: id,
      query: ArchiveQuery,
      answers: [{ status: 200, description: 'The tar', streams: ['application/x-tar'] }],
      handler: async ({ params, query, call }) => {
        const build = await requireBuild(deps, params.id);
        return tarResponse(deps, call, await builtArchive(archiveDeps(deps), build, archiveOptions(query)));
      },
    }),
    route('GET', '/v1/builds/{id}/cache', {
      id: 'exportBuildCache',
      summary: 'The cache that a build with cacheTo of type local wrote, as the tar of an OCI layout: soon after it',
      tag,
      access: 'read',
      params: id,
      query: z.strictObject({ digest: digest.exactOptional().meta({ description: 'Which, of several.' }) }),
      answers: [{ status: 200, description: 'The tar', streams: ['application/x-tar'] }],
      handler: async ({ params, query, call }) => {
        const build = await requireBuild(deps, params.id);
        const cache = await builtCache(archiveDeps(deps), build, query.digest as Digest | undefined);
        return tarResponse(deps, call, cache);
      },
    }),
    route('POST', '/v1/builds/{id}/cancel', {
      id: 'cancelBuild',
      summary: 'Asks a build to stop; a finished one stays as it is',
      tag,
      access: 'deploy',
      params: id,
      answers: [{ status: 202, description: 'The build', schema: BuildSchema }],
      handler: async ({ params }) => {
        const build = await deps.builds.cancel(params.id);
        if (build === undefined) throw buildNotFound(params.id);
        return { status: 202, body: build };
      },
    }),
  ];
}

async function startBuild(
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

function buildAsEvents(deps: ApiDeps, options: ApiOptions, build: Build, call: Call, after: number): Response {
  async function* events(signal: AbortSignal) {
    for await (const logged of deps.builds.follow(build.id, after, signal)) {
      yield { id: String(logged.sequence), event: logged.event.type, data: logged };
    }
  }
  return sseResponse(events, streamOptions(deps, options, call));
}

function buildAsText(deps: ApiDeps, options: ApiOptions, build: Build, call: Call): Response {
  async function* lines(signal: AbortSignal) {
    const text = new BuildText();
    yield `build ${build.id}\n`;
    for await (const logged of deps.builds.follow(build.id, 0, signal)) {
      yield text.format(logged);
    }
  }
  const response = textResponse(lines, streamOptions(deps, options, call));
  response.headers.set('location', `/v1/builds/${build.id}`);
  return response;
}

export function streamOptions(deps: ApiDeps, options: ApiOptions, call: Call): StreamOptions {
  return {
    clock: deps.clock,
    signal: call.signal,
    ...(options.heartbeatMs === undefined ? {} : { heartbeatMs: options.heartbeatMs }),
    onError: (error) => deps.logger.error('a stream broke off', { requestId: call.requestId, error }),
  };
}

/** The sequence to go on after. @throws AppError REQUEST_INVALID */
function lastEventId(call: Call): number | undefined {
  const text = call.request.headers.get('last-event-id');
  if (text === null || text === '') return undefined;
  return parseWith(z.coerce.number().int().min(0), text, 'header Last-Event-ID');
}

async function requireBuild(deps: ApiDeps, id: string): Promise<Build> {
  const build = await deps.builds.get(id);
  if (build === undefined) throw buildNotFound(id);
  return build;
}

function buildNotFound(id: string): AppError {
  return new AppError('BUILD_NOT_FOUND', `there is no build ${id}`, { kind: 'not-found' });
}
