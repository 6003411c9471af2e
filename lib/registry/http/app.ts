/**
 * The registry over HTTP: /v2/* and /token, on node:http and as a Web fetch handler. One request goes: credentials → route → name → right →
 * handler, and whatever is thrown on the way becomes the specification's error document.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { toAppError } from '../../errors/index.js';
import { deleteBlob, readBlob } from './blobs.js';
import { requestBody, type RequestBody } from './body.js';
import { type Caller, identify, type IsPublic } from './caller.js';
import { errorResponse, errorsResponse } from './errors.js';
import { Gate } from './gate.js';
import { listCatalog, listReferrers, listTags } from './listings.js';
import { deleteManifest, putManifest, readManifest } from './manifests.js';
import { inNamespace, type NamedMatch, saying } from './namespaces.js';
import { nodeRequest, writeReply } from './node-transport.js';
import { OpenUploads } from './open-uploads.js';
import { json, type Reply } from './replies.js';
import { matchRoute, type RouteMatch, type RouteName } from './routes.js';
import { serveToken } from './token.js';
import type { Call, Handler, RegistryAppDeps, RegistryAppOptions, RegistryRequest } from './types.js';
import { appendUpload, cancelUpload, commitUpload, startUpload, uploadStatus } from './uploads.js';
import { toResponse } from './web-transport.js';

const HANDLERS: Readonly<Record<RouteName, Handler>> = {
  ping: () => Promise.resolve(json({})),
  catalog: listCatalog,
  tags: listTags,
  referrers: listReferrers,
  'manifest-read': readManifest,
  'manifest-put': putManifest,
  'manifest-delete': deleteManifest,
  'blob-read': readBlob,
  'blob-delete': deleteBlob,
  'upload-start': startUpload,
  'upload-status': uploadStatus,
  'upload-append': appendUpload,
  'upload-commit': commitUpload,
  'upload-cancel': cancelUpload,
};

/** Settings an http.Server needs for pushes of hours and for clients that keep connections. Milliseconds. */
export const registryServerOptions = { requestTimeout: 0, headersTimeout: 60_000, keepAliveTimeout: 120_000 } as const;

/** The registry on both transports. */
export interface RegistryApp {
  /** Writes the answer to the connection; resolves when it is handed over. Never rejects. */
  handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void>;
  /** For functions: the body of the request comes whole. */
  fetch(request: Request): Promise<Response>;
}

/** @example const app = createRegistryApp(deps); createServer(registryServerOptions, app.handle).listen(port) */
export function createRegistryApp(deps: RegistryAppDeps, options: RegistryAppOptions = {}): RegistryApp {
  const isPublic: IsPublic = (repository) => deps.registry.publicRepositories.covers(repository);
  const openUploads = new OpenUploads(deps.clock, options.maxOpenUploads);
  const answer = async (request: RegistryRequest, body: RequestBody): Promise<Reply> => {
    const url = new URL(request.url);
    const { pathname } = url;
    if (pathname === '/v2' || pathname.startsWith('/v2/')) {
      const reply = await serveV2(request, url, body, { deps, options, isPublic, openUploads });
      return { ...reply, headers: { ...reply.headers, 'docker-distribution-api-version': 'registry/2.0' } };
    }
    return serveTokenPaths(request, pathname, body, deps, isPublic);
  };
  return {
    async handle(incoming, outgoing) {
      try {
        const request = nodeRequest(incoming);
        const reply = request === undefined ? badHost() : await answer(request, requestBody(request, incoming));
        await writeReply(reply, incoming, outgoing);
      } catch (error) {
        logFailure(deps, error, 'answer');
        outgoing.destroy();
      }
    },
    async fetch(request) {
      const isHost = URL.canParse(request.url) && /^[A-Za-z0-9._[\]:-]+$/.test(new URL(request.url).host);
      return toResponse(isHost ? await answer(request, requestBody(request, request.body)) : badHost(), request.method);
    },
  };
}

async function serveTokenPaths(
  request: RegistryRequest,
  path: string,
  body: RequestBody,
  deps: RegistryAppDeps,
  isPublic: IsPublic,
): Promise<Reply> {
  const { method } = request;
  try {
    if (path === '/token' && (method === 'GET' || method === 'POST')) {
      return await serveToken(request, body, deps, isPublic);
    }
    if (path === '/token/jwks.json' && method === 'GET') {
      return json(await deps.registryTokens.jwks(), { 'cache-control': 'max-age=300' });
    }
    return noRoute(method, path, { outcome: 'absent' });
  } catch (error) {
    logFailure(deps, error, 'token');
    const challenge = {
      'www-authenticate': `Basic realm="${deps.registryTokens.service}"`,
      'cache-control': 'no-store',
    };
    return errorResponse(error, toAppError(error).code === 'UNAUTHORIZED' ? challenge : {});
  }
}

interface Served {
  readonly deps: RegistryAppDeps;
  readonly options: RegistryAppOptions;
  readonly isPublic: IsPublic;
  readonly openUploads: OpenUploads;
}

async function serveV2(
  request: RegistryRequest,
  url: URL,
  body: RequestBody,
  { deps, options, isPublic, openUploads }: Served,
): Promise<Reply> {
  const startedMs = deps.clock.nowMs();
  let named: NamedMatch = { match: matchRoute(request.method, url.pathname) };
  const gate = new Gate({
    base: options.publicUrl ?? url.origin,
    service: deps.registryTokens.service,
    mountFrom: url.searchParams.has('mount') ? url.searchParams.get('from') : null,
    isPublic,
  });
  const callOf = (known: Caller, found: RouteMatch & { outcome: 'found' }): Call => ({
    ...found,
    deps,
    options,
    request,
    body,
    query: url.searchParams,
    caller: known,
    openUploads,
    mountChallenge: (from) => gate.mountChallenge(known, found, from),
  });
  let caller: Caller | undefined;
  let response: Reply;
  try {
    caller = await identify(request.headers.get('authorization'), deps);
    named = await inNamespace(named.match, url.searchParams, deps.cache);
    const { match } = named;
    response =
      (await gate.refusal(caller, match)) ??
      (caller === undefined || match.outcome !== 'found'
        ? noRoute(request.method, url.pathname, match)
        : ((await readOnly(deps, match)) ?? (await HANDLERS[match.route.name](callOf(caller, match)))));
  } catch (error) {
    logFailure(deps, error, named.match.outcome === 'found' ? named.match.route.name : 'none');
    response = errorResponse(error);
  }
  const fields = {
    method: request.method,
    path: url.pathname,
    status: response.status,
    actor: caller?.name ?? 'unknown',
    milliseconds: deps.clock.nowMs() - startedMs,
  };
  if (request.method === 'GET' || request.method === 'HEAD') deps.logger.debug('registry read', fields);
  else deps.logger.info('registry write', fields);
  return saying(response, named);
}

/** Nobody pushes to a cache: the next look at its upstream would undo it. */
async function readOnly(
  { cache }: RegistryAppDeps,
  match: RouteMatch & { outcome: 'found' },
): Promise<Reply | undefined> {
  if (cache === undefined || match.route.needs !== 'push' || !(await cache.covers(match.repository))) return undefined;
  return unsupported(405, `${match.repository} is a cache of another registry; push to a repository of your own`);
}

/** What the Host says becomes part of addresses we give out. */
function badHost(): Reply {
  return unsupported(400, 'the Host header is not a host name and port, or the path does not begin with /');
}

function noRoute(method: string, path: string, match: RouteMatch): Reply {
  return match.outcome === 'wrong-method'
    ? unsupported(405, `${method} is not offered here`, { allow: match.allowed.join(', ') })
    : unsupported(404, `${path.slice(0, 200)} is not an end-point of a registry`);
}

function unsupported(status: number, message: string, headers: Readonly<Record<string, string>> = {}): Reply {
  return errorsResponse(status, [{ code: 'UNSUPPORTED', message }], headers);
}

/** Refusals are the client's business; what failed on our side is told in the log. */
function logFailure(deps: RegistryAppDeps, thrown: unknown, route: string): void {
  const error = toAppError(thrown);
  if (error.kind !== 'internal' && error.kind !== 'unavailable' && error.kind !== 'failed') return;
  deps.logger.error('registry request failed', { route, code: error.code, error: error.message, stack: error.stack });
}
