/**
 * Who calls, and what they may do here. Three kinds of credentials lead to the same question to `authorize`: an API
 * token as Basic password or raw bearer, a registry token from the token flow, or none. A registry token narrows what
 * its owner may do to what it was issued for; it never widens it.
 */
import {
  type Access,
  type Action,
  type ApiTokens,
  authorize,
  type Principal,
  type RegistryTokens,
  type Resource,
} from '../../auth/index.js';

export interface Caller {
  /** For logs. */
  readonly name: string;
  readonly principal: Principal | undefined;
  readonly shown: 'nothing' | 'api-token' | 'registry-token';
  may(action: Action, resource: Resource): boolean;
  /** Not with what was shown, but a token that was asked for it would say so. */
  couldAskFor(action: Action, resource: Resource): boolean;
}

export interface Credentials {
  readonly apiTokens: ApiTokens;
  readonly registryTokens: RegistryTokens;
}

/** @returns undefined when credentials were shown and are wrong */
export async function identify(header: string | null, credentials: Credentials): Promise<Caller | undefined> {
  if (header === null || header === '') return anonymous;
  const shown = parseAuthorization(header);
  if (shown === undefined) return undefined;
  if (shown.scheme === 'bearer' && shown.secret.split('.').length === 3) {
    const grant = await credentials.registryTokens.verify(shown.secret);
    if (grant !== undefined) return grantedCaller(grant.principal, grant.access);
  }
  const principal = await credentials.apiTokens.verify(shown.secret);
  return principal === undefined ? undefined : callerOf(principal);
}

/** The secret of an Authorization header: the password of Basic (any user name goes), or the bearer token. */
export function parseAuthorization(header: string): { scheme: 'basic' | 'bearer'; secret: string } | undefined {
  const match = /^(basic|bearer) +([A-Za-z0-9._~+/=-]+) *$/i.exec(header);
  const scheme = match?.[1]?.toLowerCase();
  const value = match?.[2];
  if (value === undefined) return undefined;
  if (scheme === 'bearer') return { scheme, secret: value };
  const decoded = Buffer.from(value, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  return colon < 0 ? undefined : { scheme: 'basic', secret: decoded.slice(colon + 1) };
}

export const anonymous: Caller = {
  name: 'anonymous',
  principal: undefined,
  shown: 'nothing',
  may: (action, resource) => authorize(undefined, action, resource),
  couldAskFor: () => false,
};

export function callerOf(principal: Principal): Caller {
  return {
    name: principal.name,
    principal,
    shown: 'api-token',
    may: (action, resource) => authorize(principal, action, resource),
    couldAskFor: () => false,
  };
}

function grantedCaller(principal: Principal | undefined, access: readonly Access[]): Caller {
  return {
    name: principal?.name ?? 'anonymous',
    principal,
    shown: 'registry-token',
    may: (action, resource) => covers(access, action, resource) && authorize(principal, action, resource),
    couldAskFor: (action, resource) => !covers(access, action, resource) && authorize(principal, action, resource),
  };
}

function covers(access: readonly Access[], action: Action, resource: Resource): boolean {
  if (resource.kind === 'api') return false;
  const [wantedType, wantedName, wantedAction] =
    resource.kind === 'repository' ? ['repository', resource.name, action] : ['registry', 'catalog', '*'];
  return access.some(
    ({ type, name, actions }) => type === wantedType && name === wantedName && actions.includes(wantedAction),
  );
}
