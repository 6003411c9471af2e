/**
 * Keys for `RUN --mount=type=ssh`. They come with a build like its secrets and lie among them, under names that no
 * secret can have, so that all that holds for secrets holds for them. A command never sees a key: it talks to an agent.
 */
import { AppError } from '../errors/index.js';
import type { BuildSecretValues } from './build-secrets.js';

/** Private keys in PEM or OpenSSH form, by the id of the mount. */
export type BuildSshKeys = ReadonlyMap<string, readonly Uint8Array[]>;

const MAX_KEYS = 16;
const MARK = '\0ssh\0';
const PEM = /^-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----\s*$([\s\S]*?)^-----END \1-----\s*$/m;

/** The keys as values to keep. @throws AppError BUILD_SSH_KEY_INVALID */
export function sshValues(keys: BuildSshKeys): BuildSecretValues {
  const values = new Map<string, Uint8Array>();
  for (const [id, each] of keys) {
    if (id === '' || Buffer.byteLength(id) > 200 || /[\0\n]/.test(id)) {
      throw invalid(
        id.slice(0, 80),
        'is no id',
        '1 to 200 bytes on one line; default is what a mount without id takes',
      );
    }
    if (each.length === 0 || each.length > MAX_KEYS) {
      throw invalid(id, `has ${each.length} keys`, `1 to ${MAX_KEYS}`);
    }
    for (const [i, key] of each.entries()) {
      checkKey(id, Buffer.from(key).toString('latin1'));
      values.set(`${MARK}${id}\0${i}`, key);
    }
  }
  return values;
}

/** The keys of one id, in the order they were given; none when it was not given. */
export function sshKeysOf(values: BuildSecretValues, id: string): readonly Uint8Array[] {
  const keys: Uint8Array[] = [];
  for (let i = 0; ; i += 1) {
    const key = values.get(`${MARK}${id}\0${i}`);
    if (key === undefined) return keys;
    keys.push(key);
  }
}

function checkKey(id: string, text: string): void {
  const [, kind = '', body = ''] = PEM.exec(text) ?? [];
  if (kind === '') {
    const isPublic = /^(ssh-|ecdsa-|sk-)/.test(text);
    throw invalid(id, isPublic ? 'is given a public key' : 'is given what is no private key', 'a private key file');
  }
  if (!isEncrypted(kind, body)) return;
  const hint = 'a key without passphrase made for builds: ssh-keygen -t ed25519 -N "" -f build_key';
  throw invalid(id, 'is given a key with a passphrase, which nobody could be asked for', hint);
}

/** OpenSSH's own form names its cipher behind a magic word (PROTOCOL.key); PEM says it in words. */
function isEncrypted(kind: string, body: string): boolean {
  if (kind !== 'OPENSSH PRIVATE KEY') return kind.startsWith('ENCRYPTED') || /^Proc-Type:.*ENCRYPTED/m.test(body);
  const bytes = Buffer.from(body, 'base64');
  const at = 'openssh-key-v1\0'.length;
  if (bytes.length < at + 8) return false;
  return bytes.toString('latin1', at + 4, at + 4 + bytes.readUInt32BE(at)) !== 'none';
}

function invalid(id: string, what: string, hint: string): AppError {
  return new AppError('BUILD_SSH_KEY_INVALID', `ssh ${JSON.stringify(id)} ${what}`, { hint });
}
