/**
 * API tokens: the long-lived secret a person, a CI job or a docker client shows. Shown once when made; only its
 * SHA-256 is stored (`TOKEN#<hash>`), which is enough because a token carries 192 random bits. A second record
 * (`TOKENS` / id) in the same transaction makes tokens listable and revocable without knowing them.
 */
import { AppError } from '../errors/index.js';
import type { Clock, Ids, RecordKey, RecordStore } from '../store/index.js';
import type { Account, Role } from './principal.js';
import { hashOf, sameText } from './secret-text.js';

/** What may be known of a token after it was made. */
export interface ApiTokenInfo {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  readonly createdMs: number;
  /** Epoch milliseconds; absent: until revoked. */
  readonly expiresAtMs?: number;
}

export interface CreatedApiToken extends ApiTokenInfo {
  /** The secret itself. Not stored, not logged, not to be had again. */
  readonly token: string;
}

interface TokenRecord extends ApiTokenInfo {
  readonly hash: string;
}

export interface ApiTokensDeps {
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly ids: Ids;
}

const PREFIX = 'wharf_';
const RANDOM_BYTES = 24;
const LIST = 'TOKENS';
const SHORTEST_GIVEN_TOKEN = 16;
const LONGEST_TOKEN = 512;

export class ApiTokens {
  constructor(private readonly deps: ApiTokensDeps) {}

  /** @param options.expiresInSeconds none: valid until revoked */
  async create(name: string, role: Role, options: { expiresInSeconds?: number } = {}): Promise<CreatedApiToken> {
    if (name.trim() === '' || name.length > 100) {
      throw new AppError('TOKEN_NAME_INVALID', `token name ${JSON.stringify(name.slice(0, 120))} is not usable`, {
        hint: '1 to 100 characters that say what the token is for',
      });
    }
    const token = PREFIX + this.deps.ids.hex(RANDOM_BYTES);
    const createdMs = this.deps.clock.nowMs();
    const seconds = options.expiresInSeconds;
    if (seconds !== undefined && !(Number.isFinite(seconds) && seconds > 0)) {
      throw new AppError('TOKEN_EXPIRY_INVALID', `a token cannot expire in ${seconds} s`, {
        hint: 'more than 0 seconds',
      });
    }
    const info: ApiTokenInfo = {
      id: this.deps.ids.ulid(),
      name,
      role,
      createdMs,
      ...(seconds === undefined ? {} : { expiresAtMs: createdMs + seconds * 1000 }),
    };
    await this.store({ ...info, hash: hashOf(token) });
    return { ...info, token };
  }

  /**
   * Makes a token the host was given (`--token`) valid. Idempotent; a token that is already known keeps its role.
   * @throws AppError TOKEN_TOO_SHORT
   */
  async ensureToken(plain: string, role: Role, name = 'given at start'): Promise<ApiTokenInfo> {
    if (plain.length < SHORTEST_GIVEN_TOKEN || plain.length > LONGEST_TOKEN || /[^\x21-\x7e]/.test(plain)) {
      throw new AppError('TOKEN_TOO_SHORT', 'the given token is not usable as a token', {
        hint: `${SHORTEST_GIVEN_TOKEN} to ${LONGEST_TOKEN} printable characters without blanks, hard to guess`,
      });
    }
    const hash = hashOf(plain);
    const known = await this.deps.records.get<TokenRecord>(tokenKey(hash));
    if (known !== undefined) return infoOf(known.value);
    const info: ApiTokenInfo = { id: this.deps.ids.ulid(), name, role, createdMs: this.deps.clock.nowMs() };
    if (await this.store({ ...info, hash })) return info;
    return this.ensureToken(plain, role, name);
  }

  /** Who shows this token; undefined when it is unknown, revoked or expired. */
  async verify(token: string): Promise<Account | undefined> {
    if (token === '' || token.length > LONGEST_TOKEN) return undefined;
    const hash = hashOf(token);
    const record = (await this.deps.records.get<TokenRecord>(tokenKey(hash)))?.value;
    if (record === undefined || !sameText(record.hash, hash)) return undefined;
    if (record.expiresAtMs !== undefined && record.expiresAtMs <= this.deps.clock.nowMs()) return undefined;
    return { id: record.id, name: record.name, role: record.role };
  }

  /** Every token that is still valid, oldest first. */
  async list(): Promise<readonly ApiTokenInfo[]> {
    const found: ApiTokenInfo[] = [];
    let cursor: string | undefined;
    do {
      const page = await this.deps.records.query<TokenRecord>(LIST, {
        limit: 1000,
        ...(cursor === undefined ? {} : { cursor }),
      });
      found.push(...page.records.map((record) => infoOf(record.value)));
      cursor = page.cursor;
    } while (cursor !== undefined);
    const now = this.deps.clock.nowMs();
    return found.filter((token) => token.expiresAtMs === undefined || token.expiresAtMs > now);
  }

  /** @returns false when there is no such token (any more) */
  async revoke(id: string): Promise<boolean> {
    const listed = await this.deps.records.get<TokenRecord>({ partition: LIST, sort: id });
    if (listed === undefined) return false;
    const result = await this.deps.records.transact([
      { op: 'delete', key: tokenKey(listed.value.hash) },
      { op: 'delete', key: { partition: LIST, sort: id }, expect: 'present' },
    ]);
    return result.outcome === 'written';
  }

  private async store(record: TokenRecord): Promise<boolean> {
    const expiry = record.expiresAtMs === undefined ? {} : { expiresAtMs: record.expiresAtMs };
    const result = await this.deps.records.transact([
      { op: 'put', key: tokenKey(record.hash), value: record, expect: 'absent', ...expiry },
      { op: 'put', key: { partition: LIST, sort: record.id }, value: record, ...expiry },
    ]);
    return result.outcome === 'written';
  }
}

function tokenKey(hash: string): RecordKey {
  return { partition: `TOKEN#${hash}`, sort: '-' };
}

function infoOf(record: TokenRecord): ApiTokenInfo {
  const { hash: _, ...info } = record;
  return info;
}
