/**
 * The token end-point of the docker token flow: GET with Basic credentials and repeated scopes (distribution,
 * docs/spec/auth/token.md), POST with a form (oauth.md). What is granted is the intersection of what was asked and
 * what the caller may; only wrong credentials are an error. The refresh token is the API token itself: as long-lived,
 * and as revocable.
 */
import { type Access, type Action, formatScope, parseScopes } from '../../auth/index.js';
import { AppError } from '../../errors/index.js';
import { readBody, type RequestBody } from './body.js';
import { anonymous, type Caller, callerOf, parseAuthorization } from './caller.js';
import { json } from './replies.js';
import type { RegistryAppDeps } from './types.js';

interface TokenRequest {
  /** The API token shown; undefined: no credentials. */
  readonly secret: string | undefined;
  readonly scopes: readonly string[];
  readonly wantsRefreshToken: boolean;
}

const MAX_FORM_BYTES = 64 * 1024;
/** Keeps the token under what gateways allow a header to hold. */
const MAX_SCOPES = 25;

/** @throws AppError UNAUTHORIZED for wrong credentials, TOKEN_REQUEST_INVALID */
export async function serveToken(
  request: Request,
  body: RequestBody,
  deps: RegistryAppDeps,
  isPublic: (repository: string) => boolean,
): Promise<Response> {
  const asked = request.method === 'POST' ? await readForm(body) : readQuery(request);
  const caller = await callerFor(asked.secret, deps);
  const wanted = parseScopes(asked.scopes);
  if (wanted.length > MAX_SCOPES) {
    throw new AppError('TOKEN_REQUEST_INVALID', `${wanted.length} scopes in one request`, {
      hint: `at most ${MAX_SCOPES}`,
    });
  }
  const access = wanted.map((entry) => granted(entry, caller, isPublic)).filter(({ actions }) => actions.length > 0);
  const issued = await deps.registryTokens.issue(caller.principal, access);
  return json(
    {
      token: issued.token,
      access_token: issued.token,
      expires_in: issued.expiresInSeconds,
      issued_at: new Date(issued.issuedAtMs).toISOString(),
      scope: access.map(formatScope).join(' '),
      ...(asked.wantsRefreshToken && asked.secret !== undefined ? { refresh_token: asked.secret } : {}),
    },
    { 'cache-control': 'no-store' },
  );
}

function granted(entry: Access, caller: Caller, isPublic: (repository: string) => boolean): Access {
  if (entry.type === 'registry') {
    return caller.may('catalog', { kind: 'catalog' }) ? entry : { ...entry, actions: [] };
  }
  const resource = { kind: 'repository', name: entry.name, isPublic: isPublic(entry.name) } as const;
  return { ...entry, actions: entry.actions.filter((action) => caller.may(action as Action, resource)) };
}

async function callerFor(secret: string | undefined, deps: RegistryAppDeps): Promise<Caller> {
  if (secret === undefined) return anonymous;
  const principal = await deps.apiTokens.verify(secret);
  if (principal === undefined) throw wrongCredentials();
  return callerOf(principal);
}

function readQuery(request: Request): TokenRequest {
  const query = new URL(request.url).searchParams;
  const header = request.headers.get('authorization');
  const shown = header === null ? undefined : parseAuthorization(header);
  if (header !== null && shown === undefined) throw wrongCredentials();
  return {
    secret: shown?.secret,
    scopes: query.getAll('scope'),
    wantsRefreshToken: query.get('offline_token') === 'true',
  };
}

async function readForm(body: RequestBody): Promise<TokenRequest> {
  const form = new URLSearchParams((await readBody(body, MAX_FORM_BYTES, 'TOKEN_REQUEST_TOO_LARGE')).toString('utf8'));
  const common = { scopes: form.getAll('scope'), wantsRefreshToken: form.get('access_type') === 'offline' };
  const grant = form.get('grant_type');
  if (grant === 'password') return { ...common, secret: form.get('password') ?? '' };
  if (grant === 'refresh_token') {
    return { ...common, secret: form.get('refresh_token') ?? '', wantsRefreshToken: true };
  }
  throw new AppError('TOKEN_REQUEST_INVALID', `grant_type ${JSON.stringify(grant)} is not offered`, {
    hint: 'password or refresh_token',
  });
}

function wrongCredentials(): AppError {
  return new AppError('UNAUTHORIZED', 'the user name or token is wrong', {
    kind: 'unauthenticated',
    hint: 'any user name, and a Wharf API token that was not revoked as the password',
  });
}
