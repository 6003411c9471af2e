/**
 * Secrets of builds: values that come with a request and beside it, never in it. They lie sealed in the SecretStore
 * under the build's id from the moment it is submitted until it has ended; whoever starts after a crash sweeps away
 * what a dead process left. While a build runs its worker holds them in memory.
 */
import { AppError } from '../errors/index.js';
import type { SecretStore } from '../store/index.js';
import { type BuildSshKeys, sshValues } from './build-ssh.js';

/** By id. */
export type BuildSecretValues = ReadonlyMap<string, Uint8Array>;

export const NO_SECRETS: BuildSecretValues = new Map();

/** What the SecretStore takes, in base64. */
const MAX_BYTES = 48 * 1024;
const MAX_SECRETS = 100;
const PREFIX = 'build/';

export class BuildSecrets {
  constructor(private readonly secrets: SecretStore) {}

  /** @throws AppError BUILD_SECRET_INVALID, BUILD_SECRET_TOO_LARGE, BUILD_SSH_KEY_INVALID; nothing is kept then */
  async put(build: string, given: BuildSecretValues, ssh: BuildSshKeys = new Map()): Promise<void> {
    for (const id of given.keys()) checkId(id);
    const values = new Map([...given, ...sshValues(ssh)]);
    if (values.size > MAX_SECRETS) {
      const message = `${values.size} secrets for one build`;
      throw new AppError('BUILD_SECRET_TOO_LARGE', message, { kind: 'too-large', hint: `at most ${MAX_SECRETS}` });
    }
    for (const [id, value] of values) checkSize(id, value);
    try {
      for (const [id, value] of values)
        await this.secrets.put(nameOf(build, id), Buffer.from(value).toString('base64'));
    } catch (error) {
      await this.delete(build);
      throw error;
    }
  }

  async get(build: string): Promise<BuildSecretValues> {
    const values = new Map<string, Uint8Array>();
    for (const name of await this.secrets.list(prefixOf(build))) {
      const value = await this.secrets.get(name);
      if (value === undefined) continue;
      const id = Buffer.from(name.slice(prefixOf(build).length), 'base64url').toString('utf8');
      values.set(id, Buffer.from(value, 'base64'));
    }
    return values;
  }

  /** Idempotent. */
  async delete(build: string): Promise<void> {
    for (const name of await this.secrets.list(prefixOf(build))) await this.secrets.delete(name);
  }

  /** Ids of builds that have secrets. */
  async builds(): Promise<readonly string[]> {
    const names = await this.secrets.list(PREFIX);
    return [...new Set(names.map((name) => name.slice(PREFIX.length, name.lastIndexOf('/'))))];
  }
}

function checkId(id: string): void {
  // As docker's: any name that is no path out of /run/secrets.
  if (id === '' || Buffer.byteLength(id) > 200 || /[\0\n]/.test(id)) {
    throw new AppError('BUILD_SECRET_INVALID', `${JSON.stringify(id.slice(0, 80))} cannot name a secret`, {
      hint: '1 to 200 bytes, on one line',
    });
  }
}

function checkSize(id: string, value: Uint8Array): void {
  if (value.length <= MAX_BYTES) return;
  throw new AppError('BUILD_SECRET_TOO_LARGE', `secret ${id.replace(/\0/g, ' ').trim()} has ${value.length} bytes`, {
    kind: 'too-large',
    hint: `at most ${MAX_BYTES} bytes`,
  });
}

const prefixOf = (build: string): string => `${PREFIX}${build}/`;
const nameOf = (build: string, id: string): string => prefixOf(build) + Buffer.from(id).toString('base64url');
