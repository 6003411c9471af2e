/**
 * Logins that docker keeps on this machine: in its config.json, or at a credential helper that the file names. Read
 * only when somebody asks for it, to hand one login on to the platform.
 */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, errnoCode } from '../errors/index.js';
import type { RegistryCredentials } from '../registry/client/index.js';

interface DockerConfig {
  readonly auths?: Readonly<Record<string, { readonly auth?: string; readonly identitytoken?: string }>>;
  readonly credsStore?: string;
  readonly credHelpers?: Readonly<Record<string, string>>;
}

type Env = Readonly<Record<string, string | undefined>>;

/** Docker Hub is kept under this key. */
const HUB_KEY = 'https://index.docker.io/v1/';
const HUB_NAMES = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io']);
/** What a helper gives as user name when the secret is an identity token. */
const TOKEN_USER = '<token>';
const HELPER_TIMEOUT_MS = 30_000;

/**
 * @param env DOCKER_CONFIG, else HOME, says where the file lies; PATH where helpers do
 * @throws AppError DOCKER_LOGIN_NOT_FOUND, DOCKER_CONFIG_INVALID, CREDENTIAL_HELPER_FAILED
 */
export async function readDockerLogin(registry: string, env: Env): Promise<RegistryCredentials> {
  const file = join(env['DOCKER_CONFIG'] ?? join(env['HOME'] ?? '/root', '.docker'), 'config.json');
  const config = await readConfig(file);
  const keys = HUB_NAMES.has(registry) ? [HUB_KEY, ...HUB_NAMES] : [registry, `https://${registry}`];
  for (const key of keys) {
    const helper = config.credHelpers?.[key] ?? config.credsStore;
    const kept = config.auths?.[key];
    const login =
      (helper === undefined ? undefined : await askHelper(helper, key, env)) ??
      (kept === undefined ? undefined : fromEntry(kept, file, key));
    if (login !== undefined) return login;
  }
  throw new AppError('DOCKER_LOGIN_NOT_FOUND', `docker keeps no login for ${registry} in ${file}`, {
    kind: 'not-found',
    hint: `docker login ${registry}, or give --username and --password-stdin`,
  });
}

async function readConfig(file: string): Promise<DockerConfig> {
  try {
    const value: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return {};
    throw new AppError('DOCKER_CONFIG_INVALID', `${file} cannot be read as JSON`, { cause: error });
  }
  throw new AppError('DOCKER_CONFIG_INVALID', `${file} holds no JSON object`);
}

function fromEntry(
  { auth, identitytoken }: { readonly auth?: string; readonly identitytoken?: string },
  file: string,
  key: string,
): RegistryCredentials | undefined {
  if (identitytoken !== undefined && identitytoken !== '') return { identityToken: identitytoken };
  if (auth === undefined || auth === '') return undefined;
  const text = Buffer.from(auth, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon > 0) return { username: text.slice(0, colon), password: text.slice(colon + 1).replace(/\0+$/, '') };
  throw new AppError('DOCKER_CONFIG_INVALID', `${file}: the entry for ${key} is not base64 of user:password`);
}

/** Speaks the helper's protocol: the registry on its standard input, a JSON document back; undefined: it has none. */
async function askHelper(name: string, key: string, env: Env): Promise<RegistryCredentials | undefined> {
  const program = `docker-credential-${name}`;
  if (!/^[A-Za-z0-9._-]+$/.test(name)) {
    throw new AppError('DOCKER_CONFIG_INVALID', `${JSON.stringify(name.slice(0, 80))} is no credential helper`);
  }
  const { code, output } = await runHelper(program, key, env);
  if (code !== 0) {
    if (/credentials not found/i.test(output)) return undefined;
    throw new AppError('CREDENTIAL_HELPER_FAILED', `${program} ended with ${code}`, { kind: 'failed' });
  }
  const answer = JSON.parse(output) as { readonly Username?: string; readonly Secret?: string };
  const { Username: username = '', Secret: secret = '' } = answer;
  if (secret === '') return undefined;
  return username === TOKEN_USER ? { identityToken: secret } : { username, password: secret };
}

function runHelper(program: string, key: string, env: Env): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, ['get'], { env, stdio: ['pipe', 'pipe', 'ignore'], timeout: HELPER_TIMEOUT_MS });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.once('error', (cause) => {
      const message = `${program}, which docker's config.json names, cannot be run`;
      reject(new AppError('CREDENTIAL_HELPER_FAILED', message, { kind: 'failed', hint: 'is it on the PATH?', cause }));
    });
    child.once('close', (code) => resolve({ code, output }));
    // A helper may end without reading.
    child.stdin.on('error', () => undefined);
    child.stdin.end(key);
  });
}
