/**
 * The key pair that signs registry tokens: made at first use, kept in the SecretStore, shared by every process of
 * one installation. Public halves are held in memory, so that verifying a token reads nothing.
 */
import { exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';
import { AppError } from '../errors/index.js';
import type { Clock, Ids, SecretStore } from '../store/index.js';

export type SigningKey = Awaited<ReturnType<typeof importJWK>>;

export interface TokenKey {
  readonly kid: string;
  readonly privateKey: SigningKey;
  readonly publicKey: SigningKey;
  /** What JWKS shows. */
  readonly publicJwk: JWK;
}

export interface TokenKeysDeps {
  readonly secrets: SecretStore;
  readonly clock: Clock;
  readonly ids: Ids;
}

/** The secret's text: newest key first; older ones still verify until they are taken out. */
interface StoredKeys {
  readonly keys: readonly (JWK & { readonly kid: string })[];
}

const SECRET = 'registry/token-keys';
const ALGORITHM = 'ES256';
/** An unknown key id makes us look at the secret again, but not more often than this. */
const RELOAD_INTERVAL_MS = 30_000;

export class TokenKeys {
  private loaded: Promise<readonly TokenKey[]> | undefined;
  private loadedMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly deps: TokenKeysDeps) {}

  /** The key to sign with. */
  async current(): Promise<TokenKey> {
    const [newest] = await this.keys();
    if (newest === undefined)
      throw new AppError('TOKEN_KEYS_EMPTY', `secret ${SECRET} holds no key`, { kind: 'internal' });
    return newest;
  }

  /** The key of that id; another process may have made it since we last looked. */
  async find(kid: string): Promise<TokenKey | undefined> {
    const known = (await this.keys()).find((key) => key.kid === kid);
    if (known !== undefined || this.deps.clock.nowMs() - this.loadedMs < RELOAD_INTERVAL_MS) return known;
    this.loaded = undefined;
    return (await this.keys()).find((key) => key.kid === kid);
  }

  /** The public keys, for whoever verifies our tokens elsewhere (RFC 7517). */
  async jwks(): Promise<{ readonly keys: JWK[] }> {
    return { keys: (await this.keys()).map((key) => key.publicJwk) };
  }

  private keys(): Promise<readonly TokenKey[]> {
    if (this.loaded === undefined) {
      this.loadedMs = this.deps.clock.nowMs();
      const loading = this.load();
      this.loaded = loading;
      // A failed look is not remembered.
      loading.catch(() => {
        if (this.loaded === loading) this.loaded = undefined;
      });
    }
    return this.loaded;
  }

  private async load(): Promise<readonly TokenKey[]> {
    const stored = (await this.deps.secrets.get(SECRET)) ?? (await this.make());
    const { keys } = JSON.parse(stored) as StoredKeys;
    return Promise.all(keys.map(importKey));
  }

  private async make(): Promise<string> {
    const pair = await generateKeyPair(ALGORITHM, { extractable: true });
    const jwk = { ...(await exportJWK(pair.privateKey)), kid: this.deps.ids.hex(8), alg: ALGORITHM, use: 'sig' };
    await this.deps.secrets.put(SECRET, JSON.stringify({ keys: [jwk] } satisfies StoredKeys));
    // Read back: if another process wrote meanwhile, its key is the one everyone will find.
    return (await this.deps.secrets.get(SECRET)) ?? JSON.stringify({ keys: [jwk] });
  }
}

async function importKey(jwk: JWK & { readonly kid: string }): Promise<TokenKey> {
  const { d: _, ...publicJwk } = jwk;
  return {
    kid: jwk.kid,
    privateKey: await importJWK(jwk, ALGORITHM),
    publicKey: await importJWK(publicJwk, ALGORITHM),
    publicJwk,
  };
}
