/**
 * Registry tokens: the short-lived bearer tokens of the docker token flow. ES256 JWTs that carry exactly what was
 * granted, so that the registry verifies them without a read (distribution, docs/spec/auth/jwt.md).
 */
import { errors, jwtVerify, SignJWT } from 'jose';
import { AppError } from '../errors/index.js';
import type { Clock, Ids } from '../store/index.js';
import { type GrantHolder, isRole, type Principal } from './principal.js';
import { type Access, REPOSITORY_ACTIONS } from './registry-scope.js';
import type { TokenKeys } from './token-keys.js';
import { VerifiedTokens } from './verified-tokens.js';

export interface RegistryTokensDeps {
  readonly keys: TokenKeys;
  readonly clock: Clock;
  readonly ids: Ids;
}

export interface RegistryTokensOptions {
  /** Audience and issuer, the `service` of the challenge. */
  readonly service?: string;
  /** 300 to 900 seconds; 300 when absent. */
  readonly ttlSeconds?: number;
}

export interface IssuedRegistryToken {
  readonly token: string;
  readonly expiresInSeconds: number;
  readonly issuedAtMs: number;
}

const DEFAULT_TTL_SECONDS = 300;
/** How far apart the clocks of two of our machines may be. */
const TOLERANCE_SECONDS = 30;

export class RegistryTokens {
  readonly service: string;
  private readonly verified = new VerifiedTokens();
  private readonly ttlSeconds: number;

  constructor(
    private readonly deps: RegistryTokensDeps,
    options: RegistryTokensOptions = {},
  ) {
    this.service = options.service ?? 'wharf';
    this.ttlSeconds = options.ttlSeconds ?? DEFAULT_TTL_SECONDS;
    if (!(this.ttlSeconds >= 300 && this.ttlSeconds <= 900)) {
      throw new AppError('TOKEN_TTL_INVALID', `registry tokens cannot live ${this.ttlSeconds} s`, {
        hint: '300 to 900 seconds',
      });
    }
  }

  /**
   * A token for what was granted, not for what was asked: the caller has intersected the two.
   * @param owner undefined: handed out to someone without credentials
   */
  async issue(owner: Principal | undefined, access: readonly Access[]): Promise<IssuedRegistryToken> {
    const key = await this.deps.keys.current();
    const issuedAtMs = this.deps.clock.nowMs();
    const issuedAt = Math.floor(issuedAtMs / 1000);
    const role = owner !== undefined && 'role' in owner ? { role: owner.role } : {};
    const token = await new SignJWT({ access, ...(owner === undefined ? {} : { name: owner.name }), ...role })
      .setProtectedHeader({ alg: 'ES256', kid: key.kid, typ: 'JWT' })
      .setIssuer(this.service)
      .setAudience(this.service)
      .setSubject(owner?.id ?? '')
      .setIssuedAt(issuedAt)
      .setNotBefore(issuedAt)
      .setExpirationTime(issuedAt + this.ttlSeconds)
      .setJti(this.deps.ids.ulid())
      .sign(key.privateKey);
    return { token, expiresInSeconds: this.ttlSeconds, issuedAtMs };
  }

  /**
   * Who holds the token and what it grants, which is all of their rights; undefined when it is forged, expired, for
   * another service, or no token at all. Reads no record. The signature of one that was verified is not verified again
   * while its key is known.
   */
  async verify(token: string): Promise<GrantHolder | undefined> {
    const nowMs = this.deps.clock.nowMs();
    const known = this.verified.find(token, nowMs);
    if (known !== undefined && (await this.deps.keys.find(known.kid))?.publicKey === known.key) return known.holder;
    try {
      const { payload, protectedHeader, key } = await jwtVerify(
        token,
        async (header) => {
          const found = await this.deps.keys.find(header.kid ?? '');
          if (found === undefined) throw new errors.JWKSNoMatchingKey();
          return found.publicKey;
        },
        {
          algorithms: ['ES256'],
          audience: this.service,
          issuer: this.service,
          clockTolerance: TOLERANCE_SECONDS,
          currentDate: new Date(nowMs),
          requiredClaims: ['exp', 'sub'],
        },
      );
      const holder = holderOf(payload);
      this.verified.keep(token, {
        holder,
        kid: protectedHeader.kid ?? '',
        key,
        fromMs: ((payload.nbf ?? 0) - TOLERANCE_SECONDS) * 1000,
        untilMs: ((payload.exp ?? 0) + TOLERANCE_SECONDS) * 1000,
      });
      return holder;
    } catch (error) {
      if (error instanceof errors.JOSEError || error instanceof TypeError || error instanceof SyntaxError)
        return undefined;
      throw error;
    }
  }

  jwks(): ReturnType<TokenKeys['jwks']> {
    return this.deps.keys.jwks();
  }
}

function holderOf(claims: Readonly<Record<string, unknown>>): GrantHolder {
  const { sub, name, role } = claims;
  const id = typeof sub === 'string' ? sub : '';
  const called = typeof name === 'string' ? name : 'anonymous';
  const access = claims['access'] as readonly Access[];
  return {
    id,
    name: called,
    grants: access
      .filter(({ type }) => type === 'repository')
      .map((entry) => ({
        repositories: entry.name,
        actions: REPOSITORY_ACTIONS.filter((action) => entry.actions.includes(action)),
      })),
    mayList: access.some(
      ({ type, name: of, actions }) => type === 'registry' && of === 'catalog' && actions.includes('*'),
    ),
    ...(typeof role === 'string' && isRole(role) ? { owner: { id, name: called, role } } : {}),
  };
}
