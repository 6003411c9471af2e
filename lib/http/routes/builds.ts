/** Builds: started from a tar in the body or an uploaded context, followed as events or as text. */
import * as z from 'zod';
import { type Build, builtArchive, builtCache } from '../../build/index.js';
import { AppError } from '../../errors/index.js';
import type { Digest } from '../../oci/index.js';
import type { ApiDeps, ApiOptions } from '../api-deps.js';
import { wantsText } from '../input.js';
import { type Call, route, type Route } from '../route.js';
import { Build as BuildSchema, BuildQuery, BuildStart, digest, listOf, page } from '../schemas/index.js';
import { archiveDeps, archiveOptions, BuiltArchiveQuery, tarResponse } from './archives.js';
import { buildAsEvents, buildAsText, lastEventId } from './build-progress.js';
import { TAR_BODIES } from './contexts.js';
import { startBuild } from './start-build.js';

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
      query: BuiltArchiveQuery,
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

async function requireBuild(deps: ApiDeps, id: string): Promise<Build> {
  const build = await deps.builds.get(id);
  if (build === undefined) throw buildNotFound(id);
  return build;
}

function buildNotFound(id: string): AppError {
  return new AppError('BUILD_NOT_FOUND', `there is no build ${id}`, { kind: 'not-found' });
}
