/**
 * SecretStore over records: values sealed with AES-256-GCM under a key that the host brings. The name is bound into
 * the seal, so a sealed value cannot be moved to another name. A value never appears in an error.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { AppError } from '../../errors/index.js';
import type { RecordKey, RecordStore, SecretStore } from '../ports.js';

const PARTITION = 'SECRET';
const NAME = /^[A-Za-z0-9][A-Za-z0-9/_.:@+=-]{0,511}$/;
const MAX_VALUE_BYTES = 64 * 1024;
const KEY_BYTES = 32;
const IV_BYTES = 12;

interface SealedSecret {
  /** Which key sealed it: the first bytes of the key's hash. */
  readonly keyId: string;
  readonly iv: string;
  readonly tag: string;
  readonly sealed: string;
}

export class RecordsSecretStore implements SecretStore {
  private readonly key: Buffer;
  private readonly keyId: string;

  /** @throws AppError SECRET_KEY_INVALID unless the key has 32 bytes */
  constructor(
    private readonly records: RecordStore,
    options: { readonly key: Uint8Array },
  ) {
    this.key = Buffer.from(options.key);
    if (this.key.length !== KEY_BYTES) {
      throw new AppError('SECRET_KEY_INVALID', `the sealing key has ${this.key.length} bytes`, {
        kind: 'internal',
        hint: `${KEY_BYTES} bytes`,
      });
    }
    this.keyId = createHash('sha256').update('wharf secret key id').update(this.key).digest('hex').slice(0, 16);
  }

  async get(name: string): Promise<string | undefined> {
    const record = await this.records.get<SealedSecret>(keyOf(name));
    return record === undefined ? undefined : this.unseal(name, record.value);
  }

  async put(name: string, value: string): Promise<void> {
    const key = keyOf(name);
    const bytes = Buffer.byteLength(value);
    if (bytes > MAX_VALUE_BYTES) {
      throw new AppError('SECRET_TOO_LARGE', `secret ${name} has ${bytes} bytes`, {
        kind: 'too-large',
        hint: `at most ${MAX_VALUE_BYTES} bytes`,
      });
    }
    await this.records.put(key, this.seal(name, value));
  }

  async delete(name: string): Promise<void> {
    await this.records.delete(keyOf(name));
  }

  async list(prefix = ''): Promise<readonly string[]> {
    const names: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await this.records.query(PARTITION, {
        prefix,
        limit: 1000,
        ...(cursor === undefined ? {} : { cursor }),
      });
      names.push(...page.records.map((record) => record.sort));
      cursor = page.cursor;
    } while (cursor !== undefined);
    return names;
  }

  private seal(name: string, value: string): SealedSecret {
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.key, iv).setAAD(Buffer.from(name));
    const sealed = Buffer.concat([cipher.update(value, 'utf8'), cipher.final()]);
    return {
      keyId: this.keyId,
      iv: iv.toString('base64'),
      tag: cipher.getAuthTag().toString('base64'),
      sealed: sealed.toString('base64'),
    };
  }

  private unseal(name: string, secret: SealedSecret): string {
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.key, Buffer.from(secret.iv, 'base64'), {
        authTagLength: 16,
      })
        .setAAD(Buffer.from(name))
        .setAuthTag(Buffer.from(secret.tag, 'base64'));
      const opened = Buffer.concat([decipher.update(Buffer.from(secret.sealed, 'base64')), decipher.final()]);
      return opened.toString('utf8');
    } catch {
      const why = secret.keyId === this.keyId ? 'it was changed after it was sealed' : 'another key sealed it';
      throw new AppError('SECRET_UNREADABLE', `secret ${name} cannot be opened: ${why}`, {
        kind: 'internal',
        hint: 'write the secret again, or start with the key that sealed it',
      });
    }
  }
}

/** @throws AppError SECRET_NAME_INVALID */
function keyOf(name: string): RecordKey {
  if (!NAME.test(name)) {
    throw new AppError('SECRET_NAME_INVALID', `secret name ${JSON.stringify(name.slice(0, 80))}`, {
      hint: '1 to 512 characters: a letter or digit, then letters, digits and / _ . : @ + = -',
    });
  }
  return { partition: PARTITION, sort: name };
}
