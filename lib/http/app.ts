/**
 * The HTTP API as a Hono app over the route table: who calls, may they, is the input right, then the handler; every
 * refusal on the way is a problem. Runs wherever fetch handlers run.
 */
import { type Context, Hono } from 'hono';
import * as z from 'zod';
import { type Action, authorize, type Principal } from '../auth/index.js';
import { AppError, toAppError } from '../errors/index.js';
import type { ApiDeps, ApiOptions } from './api-deps.js';
import { Idempotency } from './idempotency.js';
import { openApiDocument } from './openapi.js';
import { problemResponse } from './problem.js';
import { type Access, type Call, type Reply, route, type Route, type Upgrade } from './route.js';
import { apiRoutes } from './routes/index.js';

interface Env {
  Variables: { requestId: string };
  /** Given by the server for a request that asks for another protocol. */
  Bindings: { upgrade?: Upgrade };
}

const ACTION: Readonly<Record<Exclude<Access, 'open'>, Action>> = {
  read: 'read',
  deploy: 'deploy',
  admin: 'administer',
};

export interface ApiApp {
  fetch(request: Request, env?: object): Response | Promise<Response>;
  /** For tests and documents. */
  readonly routes: readonly Route[];
}

export function createApiApp(deps: ApiDeps, options: ApiOptions): ApiApp {
  const table = apiRoutes(deps, options);
  const routes: readonly Route[] = [...openRoutes(() => openApiDocument(routes, options.version), options), ...table];
  const idempotency = new Idempotency(deps);
  const app = new Hono<Env>();
  app.use(async (c, next) => {
    const startedMs = deps.clock.nowMs();
    c.set('requestId', deps.ids.ulid());
    await next();
    c.res.headers.set('x-request-id', c.get('requestId'));
    deps.logger.debug('request', {
      requestId: c.get('requestId'),
      method: c.req.method,
      path: c.req.path,
      status: c.res.status,
      milliseconds: deps.clock.nowMs() - startedMs,
    });
  });
  for (const each of routes) {
    app.on(each.method, honoPath(each.path), (c) => serveRoute(c, each));
  }
  app.notFound((c) => problemResponse(unknownPath(routes, c), c.get('requestId')));
  app.onError((error, c) => {
    if (toAppError(error).kind === 'internal') {
      deps.logger.error('a request failed', { requestId: c.get('requestId'), path: c.req.path, error });
    }
    return problemResponse(error, c.get('requestId'));
  });
  return { routes, fetch: (request, env) => app.fetch(request, env ?? {}) };

  async function serveRoute(c: Context<Env>, each: Route): Promise<Response> {
    const principal = each.access === 'open' ? undefined : await admit(c.req.raw, each.access);
    const { signal } = c.req.raw;
    const call: Call = {
      request: c.req.raw,
      url: new URL(c.req.url),
      params: c.req.param() as Record<string, string>,
      principal,
      requestId: c.get('requestId'),
      // Made only for the few that stream: each one leaves something behind on a signal that lives as long as we do.
      get signal() {
        return options.closing === undefined ? signal : AbortSignal.any([signal, options.closing]);
      },
      idempotency,
      upgrade: c.env.upgrade,
    };
    const reply = await each.run(call);
    return reply instanceof Response ? reply : replyResponse(reply);
  }

  /** @throws AppError UNAUTHENTICATED, FORBIDDEN */
  async function admit(request: Request, access: Exclude<Access, 'open'>): Promise<Principal> {
    const [, token] = /^Bearer ([\x21-\x7e]+)$/i.exec(request.headers.get('authorization') ?? '') ?? [];
    const principal = token === undefined ? undefined : await deps.identities.verify(token);
    if (principal === undefined) {
      throw new AppError('UNAUTHENTICATED', token === undefined ? 'no token was shown' : 'the token is not valid', {
        kind: 'unauthenticated',
        hint: 'Authorization: Bearer <token>',
      });
    }
    if (authorize(principal, ACTION[access], { kind: 'api' })) return principal;
    const has = 'role' in principal ? `has role ${principal.role}` : 'has rights at the registry only';
    throw new AppError('FORBIDDEN', `token ${principal.name} ${has}, which does not allow this`, {
      kind: 'forbidden',
      hint: `a token with the right to ${access === 'admin' ? 'administer' : access}`,
    });
  }
}

/** What needs no token: that the server lives, and what it can do. */
function openRoutes(document: () => object, options: ApiOptions): readonly Route[] {
  let written: object | undefined;
  const common = { tag: 'Service', access: 'open' } as const;
  return [
    route('GET', '/healthz', {
      ...common,
      id: 'getHealth',
      summary: 'Whether the API answers',
      answers: [
        { status: 200, description: 'It does', schema: z.object({ status: z.literal('ok'), version: z.string() }) },
      ],
      handler: async () => ({ body: { status: 'ok', version: options.version } }),
    }),
    route('GET', '/openapi.json', {
      ...common,
      id: 'getOpenApi',
      summary: 'This document',
      answers: [{ status: 200, description: 'OpenAPI 3.1', schema: z.looseObject({ openapi: z.string() }) }],
      handler: async () => ({ body: (written ??= document()) }),
    }),
  ];
}

function replyResponse(reply: Reply): Response {
  const { status = 200, body, headers } = reply;
  if (body === undefined) return new Response(null, { status, headers: { ...headers } });
  const type = { 'content-type': 'application/json', 'cache-control': 'no-store' };
  return new Response(JSON.stringify(body), { status, headers: { ...type, ...headers } });
}

/** A name with slashes in the middle of a path takes as little as it can, or it would take what comes after it. */
function honoPath(path: string): string {
  return path.replaceAll(/\{(\w+)(\+?)\}(?=(\/?))/g, (_, name: string, greedy: string, more: string) => {
    if (greedy === '') return `:${name}`;
    return more === '' ? `:${name}{.+}` : `:${name}{.+?}`;
  });
}

function unknownPath(routes: readonly Route[], c: Context<Env>): AppError {
  const allowed = routes.filter((each) => pathPattern(each.path).test(c.req.path)).map((each) => each.method);
  if (allowed.length === 0) {
    return new AppError('ROUTE_NOT_FOUND', `there is nothing at ${c.req.path}`, {
      kind: 'not-found',
      hint: 'GET /openapi.json lists what is there',
    });
  }
  return new AppError('METHOD_NOT_ALLOWED', `${c.req.path} does not take ${c.req.method}`, {
    hint: allowed.join(', '),
    details: { allow: allowed.join(', ') },
  });
}

function pathPattern(path: string): RegExp {
  return new RegExp(
    `^${path.replaceAll('.', '\\.').replaceAll(/\{\w+(\+?)\}/g, (_, greedy: string) => (greedy === '' ? '[^/]+' : '.+'))}$`,
  );
}
