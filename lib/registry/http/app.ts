/**
 * The registry over HTTP: /v2/* and /token on one Hono app. One request goes: credentials → route → name → right →
 * handler, and whatever is thrown on the way becomes the specification's error document.
 */
import type { IncomingMessage } from 'node:http';
import { type Context, Hono, type Next } from 'hono';
import { toAppError } from '../../errors/index.js';
import { deleteBlob, readBlob } from './blobs.js';
import { requestBody, type RequestBody } from './body.js';
import { type Caller, identify, type IsPublic } from './caller.js';
import { errorResponse, errorsResponse } from './errors.js';
import { Gate } from './gate.js';
import { listCatalog, listReferrers, listTags } from './listings.js';
import { deleteManifest, putManifest, readManifest } from './manifests.js';
import { json } from './replies.js';
import { matchRoute, type RouteMatch, type RouteName } from './routes.js';
import { serveToken } from './token.js';
import type { Call, Handler, RegistryAppDeps, RegistryAppOptions } from './types.js';
import { appendUpload, cancelUpload, commitUpload, startUpload, uploadStatus } from './uploads.js';

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

/**
 * Mount it so that the Node server's `env` comes through (`app.route`, or `fetch(request, env)`): bodies are read from it.
 * @example serve({ fetch: createRegistryApp(deps).fetch, port, serverOptions: registryServerOptions })
 */
export function createRegistryApp(deps: RegistryAppDeps, options: RegistryAppOptions = {}): Hono {
  const isPublic: IsPublic = (repository) => deps.registry.publicRepositories.isPublic(repository);
  const app = new Hono();
  app.use('/v2/*', checkHost);
  app.use('/token/*', checkHost);
  app.on(['GET', 'POST'], '/token', async (c) => {
    try {
      return await serveToken(c.req.raw, requestBody(c.req.raw, incomingOf(c)), deps, isPublic);
    } catch (error) {
      logFailure(deps, error, 'token');
      const challenge = {
        'www-authenticate': `Basic realm="${deps.registryTokens.service}"`,
        'cache-control': 'no-store',
      };
      return errorResponse(error, toAppError(error).code === 'UNAUTHORIZED' ? challenge : {});
    }
  });
  app.get('/token/jwks.json', async () => json(await deps.registryTokens.jwks(), { 'cache-control': 'max-age=300' }));
  const serve = async (c: Context): Promise<Response> => {
    const response = await serveV2(c.req.raw, requestBody(c.req.raw, incomingOf(c)), deps, options, isPublic);
    response.headers.set('docker-distribution-api-version', 'registry/2.0');
    return response;
  };
  app.all('/v2', serve);
  app.all('/v2/*', serve);
  return app;
}

async function serveV2(
  request: Request,
  body: RequestBody,
  deps: RegistryAppDeps,
  options: RegistryAppOptions,
  isPublic: IsPublic,
): Promise<Response> {
  const startedMs = deps.clock.nowMs();
  const url = new URL(request.url);
  const match = matchRoute(request.method, url.pathname);
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
    mountChallenge: (from) => gate.mountChallenge(known, found, from),
  });
  let caller: Caller | undefined;
  let response: Response;
  try {
    caller = await identify(request.headers.get('authorization'), deps);
    response =
      (await gate.refusal(caller, match)) ??
      (caller === undefined || match.outcome !== 'found'
        ? noRoute(request.method, url.pathname, match)
        : await HANDLERS[match.route.name](callOf(caller, match)));
  } catch (error) {
    logFailure(deps, error, match.outcome === 'found' ? match.route.name : 'none');
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
  return response;
}

/** The connection's own request, which the Node server of Hono hands over as `env`. */
function incomingOf(c: Context): IncomingMessage | undefined {
  return (c.env as { readonly incoming?: IncomingMessage } | undefined)?.incoming;
}

/** What the Host says becomes part of addresses we give out. */
function checkHost(c: Context, next: Next): Promise<Response | void> {
  const { url } = c.req.raw;
  if (URL.canParse(url) && /^[A-Za-z0-9._[\]:-]+$/.test(new URL(url).host)) return next();
  const message = 'the Host header is not a host name and port';
  return Promise.resolve(errorsResponse(400, [{ code: 'UNSUPPORTED', message }]));
}

function noRoute(method: string, path: string, match: RouteMatch): Response {
  return match.outcome === 'wrong-method'
    ? unsupported(405, `${method} is not offered here`, { allow: match.allowed.join(', ') })
    : unsupported(404, `${path.slice(0, 200)} is not an end-point of a registry`);
}

function unsupported(status: number, message: string, headers: Readonly<Record<string, string>> = {}): Response {
  return errorsResponse(status, [{ code: 'UNSUPPORTED', message }], headers);
}

/** Refusals are the client's business; what failed on our side is told in the log. */
function logFailure(deps: RegistryAppDeps, thrown: unknown, route: string): void {
  const error = toAppError(thrown);
  if (error.kind !== 'internal' && error.kind !== 'unavailable' && error.kind !== 'failed') return;
  deps.logger.error('registry request failed', { route, code: error.code, error: error.message, stack: error.stack });
}
