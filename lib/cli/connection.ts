/**
 * Where the platform is and who we are: flags first, then WHARF_URL and WHARF_TOKEN, then what the embedded
 * platform wrote into its data folder, readable by its owner only.
 */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { AppError, errnoCode } from '../errors/index.js';

export interface Connection {
  readonly url: string;
  readonly token: string;
}

/** What `wharf up` says of itself when it is ready. */
export interface PlatformAddress extends Connection {
  readonly registry: string;
  readonly ecs: string;
}

export interface ConnectionInput {
  readonly url?: string;
  readonly token?: string;
  /** Data folder; `.wharf` when absent. */
  readonly data?: string;
}

const FILE = 'connection.json';

export function dataFolder(cwd: string, input: Pick<ConnectionInput, 'data'>): string {
  return resolve(cwd, input.data ?? '.wharf');
}

/** @throws AppError NOT_CONNECTED */
export function findConnection(
  cwd: string,
  env: Readonly<Record<string, string | undefined>>,
  input: ConnectionInput,
): Connection {
  const folder = dataFolder(cwd, input);
  const known = readConnection(folder);
  const url = input.url ?? env['WHARF_URL'] ?? known?.url;
  // The token of one platform is not shown to another.
  const ownToken = known !== undefined && known.url === url ? known.token : undefined;
  const token = input.token ?? env['WHARF_TOKEN'] ?? ownToken;
  if (url !== undefined && token !== undefined) return { url, token };
  if (url === undefined) {
    throw new AppError('NOT_CONNECTED', `no platform is known here: there is none in ${folder}`, {
      hint: 'start one with wharf up, name its folder with --data, or give --url and --token (WHARF_URL, WHARF_TOKEN)',
    });
  }
  throw new AppError('NOT_CONNECTED', `no token is known for ${url}`, {
    kind: 'unauthenticated',
    hint: `--token or WHARF_TOKEN; the platform printed one when it started. Looked in ${folder}, too`,
  });
}

/** At once: for this one file Node would start all threads of its pool. */
function readConnection(folder: string): Connection | undefined {
  try {
    const { url, token } = JSON.parse(readFileSync(join(folder, FILE), 'utf8')) as Partial<Connection>;
    return typeof url === 'string' && typeof token === 'string' ? { url, token } : undefined;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT' || errnoCode(error) === 'ENOTDIR') return undefined;
    throw new AppError('CONNECTION_FILE_INVALID', `${join(folder, FILE)} cannot be read`, {
      hint: 'delete it, or start wharf up again',
      cause: error,
    });
  }
}
