/**
 * Who calls. Three kinds of credentials are taken, on every call: an API token or a robot's secret as Basic password or
 * raw bearer, a registry token from the token flow, or none. A registry token holds the rights it was issued for and no
 * others.
 */
import { type Action, authorize, type Identities, type Principal, type RegistryTokens } from '../../auth/index.js';

export interface Caller {
  /** For logs. */
  readonly name: string;
  readonly principal: Principal | undefined;
  readonly shown: 'nothing' | 'secret' | 'registry-token';
}

export interface Credentials {
  readonly identities: Identities;
  readonly registryTokens: RegistryTokens;
}

/** Tells whether anyone may pull a repository; asked only when it matters, since that is a read. */
export type IsPublic = (repository: string) => Promise<boolean>;

/** @returns undefined when credentials were shown and are wrong */
export async function identify(header: string | null, credentials: Credentials): Promise<Caller | undefined> {
  if (header === null || header === '') return anonymous;
  const shown = parseAuthorization(header);
  if (shown === undefined) return undefined;
  if (shown.scheme === 'bearer' && shown.secret.split('.').length === 3) {
    const holder = await credentials.registryTokens.verify(shown.secret);
    if (holder !== undefined) return { name: holder.name, principal: holder, shown: 'registry-token' };
  }
  const principal = await credentials.identities.verify(shown.secret);
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

export const anonymous: Caller = { name: 'anonymous', principal: undefined, shown: 'nothing' };

export function callerOf(principal: Principal): Caller {
  return { name: principal.name, principal, shown: 'secret' };
}

/** `authorize` for a repository, which learns whether it is public only when everything else says no. */
export async function mayAct(
  { principal }: Caller,
  action: Action,
  repository: string,
  isPublic: IsPublic,
): Promise<boolean> {
  const resource = { kind: 'repository', name: repository } as const;
  if (authorize(principal, action, resource)) return true;
  return action === 'pull' && authorize(principal, action, { ...resource, isPublic: await isPublic(repository) });
}

/** Not with what was shown, but a token that was asked for it would say so. Known of accounts' tokens only. */
export function couldAskFor({ principal }: Caller, action: Action, repository: string): boolean {
  if (principal === undefined || !('grants' in principal)) return false;
  return authorize(principal.owner, action, { kind: 'repository', name: repository });
}
