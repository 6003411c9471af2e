/** `--secret` and `--ssh` of `wharf build`: values read here, on the machine of whoever builds, as docker does. */
import { readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { resolve } from 'node:path';
import { csvFields } from '../dockerfile/index.js';
import { AppError, errnoCode } from '../errors/index.js';

export interface SecretPlaces {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

const SECRET_HINT =
  'id=npm,src=.npmrc or id=token,env=TOKEN; id=NAME alone takes the variable or the file of that name';
const SSH_HINT = 'default=~/.ssh/id_ed25519; several keys by commas; an agent of this machine is not forwarded';

/** @param texts `id=npm,src=.npmrc` @throws AppError SECRET_INVALID, SECRET_NOT_FOUND */
export async function readSecrets(
  texts: readonly string[],
  places: SecretPlaces,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const values = new Map<string, Uint8Array>();
  for (const text of texts) {
    const { id, type, src, env } = fieldsOf(text);
    if (values.has(id)) throw invalid('secret', text, `names ${id} twice`, SECRET_HINT);
    values.set(id, await valueOf(text, { id, type, src, env }, places));
  }
  return values;
}

/** @param texts `default=~/.ssh/key,other` @throws AppError SECRET_INVALID, SECRET_NOT_FOUND */
export async function readSshKeys(
  texts: readonly string[],
  { cwd }: SecretPlaces,
): Promise<ReadonlyMap<string, readonly Uint8Array[]>> {
  const keys = new Map<string, readonly Uint8Array[]>();
  for (const text of texts) {
    const equals = text.indexOf('=');
    const paths =
      equals < 0
        ? []
        : text
            .slice(equals + 1)
            .split(',')
            .filter((path) => path !== '');
    if (equals < 1 || paths.length === 0) throw invalid('ssh', text, 'names no key file', SSH_HINT);
    const id = text.slice(0, equals);
    if (keys.has(id)) throw invalid('ssh', text, `names ${id} twice`, SSH_HINT);
    keys.set(id, await Promise.all(paths.map((path) => readKey(text, path.replace(/^~(?=\/)/, homedir()), cwd))));
  }
  return keys;
}

interface SecretFields {
  readonly id: string;
  readonly type: string | undefined;
  readonly src: string | undefined;
  readonly env: string | undefined;
}

function fieldsOf(text: string): SecretFields {
  const fields = new Map<string, string>();
  for (const field of csvFields(text)) {
    const equals = field.indexOf('=');
    const key = field.slice(0, Math.max(0, equals)).toLowerCase();
    if (!['id', 'type', 'src', 'source', 'env'].includes(key)) {
      throw invalid('secret', text, `has ${JSON.stringify(field)}`, SECRET_HINT);
    }
    fields.set(key === 'source' ? 'src' : key, field.slice(equals + 1));
  }
  const [id = '', type] = [fields.get('id'), fields.get('type')];
  if (id === '') throw invalid('secret', text, 'has no id', SECRET_HINT);
  if (type !== undefined && type !== 'file' && type !== 'env') {
    throw invalid('secret', text, `has the type ${JSON.stringify(type)}`, 'type=file or type=env');
  }
  return { id, type, src: fields.get('src'), env: fields.get('env') };
}

/** Without a place it is the variable with the id's name, or else the file with that name, as with docker. */
async function valueOf(text: string, { id, type, src, env }: SecretFields, places: SecretPlaces): Promise<Uint8Array> {
  const name = env ?? (type === 'env' ? (src ?? id) : undefined);
  const value = places.env[name ?? id];
  if (name !== undefined && value === undefined) {
    throw notFound(`the variable ${name} of secret ${id} is not set`, SECRET_HINT);
  }
  if (value !== undefined && (name !== undefined || (src === undefined && type === undefined)))
    return Buffer.from(value);
  return readWhole(text, src ?? id, places.cwd);
}

async function readKey(text: string, path: string, cwd: string): Promise<Uint8Array> {
  const info = await stat(resolve(cwd, path)).catch(() => undefined);
  if (info?.isSocket() === true) throw invalid('ssh', text, 'names the socket of an agent', SSH_HINT);
  return readWhole(text, path, cwd);
}

async function readWhole(text: string, path: string, cwd: string): Promise<Uint8Array> {
  try {
    return await readFile(resolve(cwd, path));
  } catch (error) {
    if (errnoCode(error) === undefined) throw error;
    throw notFound(`${path} of ${JSON.stringify(text)} cannot be read: ${errnoCode(error)}`, 'the path of a file');
  }
}

function invalid(option: string, text: string, what: string, hint: string): AppError {
  return new AppError('SECRET_INVALID', `--${option} ${JSON.stringify(text)} ${what}`, { hint });
}

function notFound(message: string, hint: string): AppError {
  return new AppError('SECRET_NOT_FOUND', message, { kind: 'not-found', hint });
}
