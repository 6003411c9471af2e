/**
 * The token end-point of the docker token flow: GET with Basic credentials and repeated scopes (distribution,
 * docs/spec/auth/token.md), POST with a form (oauth.md). What is granted is the intersection of what was asked and
 * what the caller may; only wrong credentials are an error. The refresh token is the secret shown: as long-lived, and
 * as revocable.
 */
import { type Access, type Action, authorize, formatScope, parseScopes } from '../../auth/index.js';
import { AppError } from '../../errors/index.js';
import { readBody, type RequestBody } from './body.js';
import { anonymous, type Caller, callerOf, type IsPublic, mayAct, parseAuthorization } from './caller.js';
import { json, type Reply } from './replies.js';
import type { RegistryAppDeps, RegistryRequest } from './types.js';

interface TokenRequest {
  /** The API token or robot's secret shown; undefined: no credentials. */
  readonly secret: string | undefined;
  readonly scopes: readonly string[];
  readonly wantsRefreshToken: boolean;
}

const MAX_FORM_BYTES = 64 * 1024;
/** Keeps the token under what gateways allow a header to hold. */
const MAX_SCOPES = 25;

/** @throws AppError UNAUTHORIZED for wrong credentials, TOKEN_REQUEST_INVALID */
export async function serveToken(
  request: RegistryRequest,
  body: RequestBody,
  deps: RegistryAppDeps,
  isPublic: IsPublic,
): Promise<Reply> {
  const asked = request.method === 'POST' ? await readForm(body) : readQuery(request);
  const caller = await callerFor(asked.secret, deps);
  const wanted = parseScopes(asked.scopes);
  if (wanted.length > MAX_SCOPES) {
    throw new AppError('TOKEN_REQUEST_INVALID', `${wanted.length} scopes in one request`, {
      hint: `at most ${MAX_SCOPES}`,
    });
  }
  const granting = wanted.map((entry) => granted(entry, caller, isPublic));
  const access = (await Promise.all(granting)).filter(({ actions }) => actions.length > 0);
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

async function granted(entry: Access, caller: Caller, isPublic: IsPublic): Promise<Access> {
  if (entry.type === 'registry') {
    return authorize(caller.principal, 'catalog', { kind: 'catalog' }) ? entry : { ...entry, actions: [] };
  }
  const allowed = await Promise.all(
    entry.actions.map((action) => mayAct(caller, action as Action, entry.name, isPublic)),
  );
  return { ...entry, actions: entry.actions.filter((_, i) => allowed[i] === true) };
}

async function callerFor(secret: string | undefined, deps: RegistryAppDeps): Promise<Caller> {
  if (secret === undefined) return anonymous;
  const principal = await deps.identities.verify(secret);
  if (principal === undefined) throw wrongCredentials();
  return callerOf(principal);
}

function readQuery(request: RegistryRequest): TokenRequest {
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
    hint: "any user name, and as the password a Wharf API token or a robot's secret that was not revoked",
  });
}
