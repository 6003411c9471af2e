/** `wharf registry login`: against the registry of the CNCF with a user, and against what docker keeps. */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { requireTools } from '../host-tools.js';
import { type CncfRegistry, startCncfRegistry } from '../protocol/registry/cncf-registry.js';
import { type CliFixture, createCliFixture, type Ran } from './cli-fixture.js';

const user = { username: 'ci', password: 'pass:with:colons' };
let cli: CliFixture;
beforeAll(async () => {
  cli = await createCliFixture();
});
afterAll(() => cli.close());

async function* typed(text: string): AsyncGenerator<string> {
  yield text;
}
const registry = (args: readonly string[], stdin = '', env: Record<string, string> = {}): Promise<Ran> =>
  cli.run(['registry', ...args], { stdin: typed(stdin), env });

requireTools('docker-registry', 'htpasswd').describe('a login at the registry of the CNCF', () => {
  let other: CncfRegistry;
  beforeAll(async () => {
    other = await startCncfRegistry(user);
  });
  afterAll(() => other.close());

  test('is tried, kept sealed, listed without its password and forgotten', async () => {
    const args = ['login', other.host, '-u', user.username, '--password-stdin'];
    const wrong = await registry(args, 'wrong\n');
    expect(wrong).toMatchObject({ stdout: '', stderr: expect.stringContaining('answered 401') });
    expect(wrong.code).not.toBe(0);
    expect((await registry(['logins', '--json'])).stdout).toBe('{"logins":[]}\n');
    expect(await registry(args, `${user.password}\n`)).toMatchObject({ code: 0 });
    expect(await cli.api.logins.credentialsFor(other.host)).toEqual(user);
    const listed = await registry(['logins']);
    expect(listed.stdout).toMatch(new RegExp(`^${other.host} +password +ci$`, 'm'));
    const { records } = await cli.api.base.store.records.query('SECRET', { prefix: 'registry-login/' });
    expect(records).toHaveLength(1);
    expect(JSON.stringify(records)).not.toContain(user.password);
    expect((await registry(['logout', other.host])).code).toBe(0);
    expect(await registry(['logout', other.host])).toMatchObject({
      stderr: expect.stringContaining(`no login is kept for ${other.host}`),
    });
  });

  test('is taken from where docker keeps it', async () => {
    const folder = join(cli.folder, 'docker');
    await mkdir(folder);
    const auth = Buffer.from(`${user.username}:${user.password}`).toString('base64');
    await writeFile(join(folder, 'config.json'), JSON.stringify({ auths: { [other.host]: { auth } } }));
    const ran = await registry(['login', other.host, '--from-docker'], '', { DOCKER_CONFIG: folder });
    expect(ran).toMatchObject({ code: 0 });
    expect(await cli.api.logins.credentialsFor(other.host)).toEqual(user);
  });
});

describe('what docker keeps', () => {
  const config = async (name: string, value: object | string): Promise<string> => {
    const folder = join(cli.folder, name);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'config.json'), typeof value === 'string' ? value : JSON.stringify(value));
    return folder;
  };
  const login = (host: string, folder: string, env: Record<string, string> = {}): Promise<Ran> =>
    registry(['login', host, '--from-docker', '--no-check'], '', { DOCKER_CONFIG: folder, ...env });

  test('at a credential helper is asked for by its protocol, identity tokens too', async () => {
    const bin = join(cli.folder, 'bin');
    await mkdir(bin);
    const helper = join(bin, 'docker-credential-fake');
    await writeFile(
      helper,
      `#!/bin/sh
read host
case "$1 $host" in
  "get ghcr.io") echo '{"ServerURL":"ghcr.io","Username":"me","Secret":"s3cret"}' ;;
  "get https://index.docker.io/v1/") echo '{"Username":"<token>","Secret":"an-identity-token"}' ;;
  *) echo 'credentials not found in native keychain'; exit 1 ;;
esac
`,
    );
    await chmod(helper, 0o755);
    const folder = await config('helpers', { credsStore: 'fake', credHelpers: { 'gcr.io': 'absent' } });
    const env = { PATH: `${bin}:${process.env['PATH'] ?? ''}` };
    expect(await login('ghcr.io', folder, env)).toMatchObject({ code: 0 });
    expect(await cli.api.logins.credentialsFor('ghcr.io')).toEqual({ username: 'me', password: 's3cret' });
    expect(await login('docker.io', folder, env)).toMatchObject({ code: 0 });
    expect(await cli.api.logins.credentialsFor('docker.io')).toEqual({ identityToken: 'an-identity-token' });
    expect(await login('quay.io', folder, env)).toMatchObject({
      stderr: expect.stringContaining('docker keeps no login for quay.io'),
    });
    expect(await login('gcr.io', folder, env)).toMatchObject({
      stderr: expect.stringContaining("docker-credential-absent, which docker's config.json names, cannot be run"),
    });
  });

  test.each<[string, object | string, RegExp]>([
    ['no JSON', '{', /cannot be read as JSON/],
    ['a list', '[]', /holds no JSON object/],
    ['an entry that is no base64 of a pair', { auths: { 'ghcr.io': { auth: 'eA==' } } }, /not base64 of user:password/],
    ['a helper that is a path', { credsStore: '../../bin/sh' }, /is no credential helper/],
    ['nothing', {}, /keeps no login for ghcr\.io/],
  ])('in a file with %s is refused with what is wrong', async (what, value, message) => {
    const ran = await login('ghcr.io', await config(what.replaceAll(' ', '-'), value));
    expect([ran.code === 0, ran.stderr]).toEqual([false, expect.stringMatching(message)]);
  });
});

test.each<[readonly string[], RegExp]>([
  [['login', 'ghcr.io'], /--username with --password-stdin, --from-docker .* or --aws/],
  [['login', 'ghcr.io', '-u', 'me', '--password-stdin'], /standard input is empty/],
  [['login', 'ghcr.io', '--aws'], /ghcr\.io is not a registry of Amazon ECR/],
  [['login', 'a b', '-u', 'x', '--password-stdin', '--no-check'], /standard input is empty|is not a registry/],
])('%j says what is missing', async (args, message) => {
  const ran = await registry(args);
  expect([ran.code === 0, ran.stderr]).toEqual([false, expect.stringMatching(message)]);
});
