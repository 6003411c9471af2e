/**
 * What to show a registry: learns from its challenges, gets tokens from its token service, and keeps them per scope
 * until shortly before they expire. Bearer, Basic and anonymous access look the same to the rest of the client.
 */
import type { Clock } from '../../store/index.js';
import { type Challenge, parseChallenge } from './challenge.js';
import { type Endpoint, isAllowedTarget } from './endpoint.js';
import { broken, refusedBy, unreachable } from './errors.js';

export type Fetch = typeof globalThis.fetch;

export type RegistryCredentials =
  | { readonly username: string; readonly password: string }
  /** What `docker login` keeps as identity token: exchanged for access tokens, never shown to the registry itself. */
  | { readonly identityToken: string };

interface HeldToken {
  readonly header: string;
  readonly expiresAtMs: number;
}

interface TokenDocument {
  readonly token?: unknown;
  readonly access_token?: unknown;
  readonly expires_in?: unknown;
}

const DEFAULT_LIFE_SECONDS = 60;
/** A token is not used in the last seconds of its life: a long push would outlive it. */
const MARGIN_MS = 10_000;
const TOKEN_TIMEOUT_MS = 30_000;

export class Authenticator {
  private readonly held = new Map<string, HeldToken>();
  private usesBasic = false;

  constructor(
    private readonly deps: { readonly clock: Clock; readonly fetch: Fetch },
    private readonly endpoint: Endpoint,
    private readonly credentials: RegistryCredentials | undefined,
  ) {}

  /** The Authorization header for this scope as far as we know it; undefined: none yet. */
  header(scope: string): string | undefined {
    if (this.usesBasic) return this.basic();
    const held = this.held.get(scope);
    return held !== undefined && held.expiresAtMs - MARGIN_MS > this.deps.clock.nowMs() ? held.header : undefined;
  }

  /**
   * Answers the challenge of a 401. False when there is nothing (more) to show.
   * @param shown the Authorization header of the request; others may have learned meanwhile what to show
   * @throws AppError REGISTRY_UNAUTHORIZED and others, from the token service
   */
  async answer(response: Response, scope: string, shown: string | undefined): Promise<boolean> {
    const challenge = parseChallenge(response.headers.get('www-authenticate'));
    if (challenge === undefined) return false;
    if (challenge.scheme === 'basic') {
      this.usesBasic = this.basic() !== undefined;
      return this.usesBasic && shown === undefined;
    }
    // A registry may turn to tokens one day.
    this.usesBasic = false;
    const held = this.header(scope);
    if (held !== undefined && held !== shown) return true;
    this.forgetExpired();
    this.held.set(scope, await this.requestToken(challenge, scope));
    return true;
  }

  private forgetExpired(): void {
    const nowMs = this.deps.clock.nowMs();
    for (const [scope, { expiresAtMs }] of this.held) if (expiresAtMs <= nowMs) this.held.delete(scope);
  }

  private basic(): string | undefined {
    if (this.credentials === undefined || !('username' in this.credentials)) return undefined;
    const { username, password } = this.credentials;
    return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  }

  private async requestToken(challenge: Challenge & { scheme: 'bearer' }, scope: string): Promise<HeldToken> {
    const where = { registry: this.endpoint.registry, doing: `get a token for ${scope === '' ? 'login' : scope}` };
    const url = URL.canParse(challenge.realm) ? new URL(challenge.realm) : undefined;
    if (url === undefined || !isAllowedTarget(this.endpoint, url)) {
      throw broken(where, `its token service ${JSON.stringify(challenge.realm.slice(0, 200))} is no https URL`);
    }
    const requestedMs = this.deps.clock.nowMs();
    let response: Response;
    try {
      response = await this.deps.fetch(...this.tokenRequest(url, challenge, scope));
    } catch (error) {
      throw unreachable({ ...where, registry: url.host }, error);
    }
    if (!response.ok) throw await refusedBy(response, { ...where, registry: url.host }, this.deps.clock.nowMs());
    const document = (await response.json().catch(() => ({}))) as TokenDocument;
    const token = document.token ?? document.access_token;
    if (typeof token !== 'string' || token === '') throw broken(where, 'its token service sent no token');
    const lifeSeconds = typeof document.expires_in === 'number' ? document.expires_in : DEFAULT_LIFE_SECONDS;
    return { header: `Bearer ${token}`, expiresAtMs: requestedMs + lifeSeconds * 1000 };
  }

  private tokenRequest(url: URL, challenge: Challenge & { scheme: 'bearer' }, scope: string): [URL, RequestInit] {
    const scopes = [...new Set([...scope.split(' '), ...(challenge.scope ?? '').split(' ')])].filter(
      (each) => each !== '',
    );
    const signal = AbortSignal.timeout(TOKEN_TIMEOUT_MS);
    const common = { signal, redirect: 'error' } as const;
    if (this.credentials !== undefined && 'identityToken' in this.credentials) {
      const form = new URLSearchParams({
        grant_type: 'refresh_token',
        refresh_token: this.credentials.identityToken,
        client_id: 'wharf',
        service: challenge.service ?? '',
        scope: scopes.join(' '),
      });
      return [url, { ...common, method: 'POST', body: form }];
    }
    if (challenge.service !== undefined) url.searchParams.set('service', challenge.service);
    for (const each of scopes) url.searchParams.append('scope', each);
    const basic = this.basic();
    return [url, { ...common, headers: basic === undefined ? {} : { authorization: basic } }];
  }
}
