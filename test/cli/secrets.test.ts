/** Secrets: they go in by standard input, are named by variables, and are shown nowhere. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { storedSecrets } from '../../lib/engine/agent/secret-source-stored.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { createApiFixture } from '../http/api-fixture.js';
import { type CliFixture, createCliFixture, type Ran } from './cli-fixture.js';

const CANARY = 'canary-51c0de';
const small = ['--cpu', '2', '--memory', '6'];
let cli: CliFixture;

beforeAll(async () => {
  cli = await createCliFixture();
  cli.api.base.agent.abilities = { ...cli.api.base.agent.abilities, secrets: true };
  await cli.api.base.images.add('hello:1');
  await cli.run(['cluster', 'create', 'main']);
});

afterAll(() => cli.close());

async function* typed(text: string): AsyncGenerator<string> {
  yield text;
}

const payload = () => cli.api.base.agent.runs.at(-1)?.containers[0];
const spec = ({ stdout }: Ran) => (JSON.parse(stdout) as { release: { spec: object } }).release.spec;

describe('a secret', () => {
  test('is kept under its name, and listed without its value', async () => {
    const set = await cli.run(['secret', 'set', 'shop/api-key'], { stdin: typed(`${CANARY}\n`) });
    expect(set).toEqual({ code: 0, stdout: 'shop/api-key\n', stderr: '' });
    const listed = await cli.run(['secret', 'ls']);
    expect(listed.stdout).toBe('SECRET\nshop/api-key\n');
    const { records } = cli.api.base.store;
    const source = storedSecrets(new RecordsSecretStore(records, { key: Buffer.alloc(32, 7) }));
    expect(await source.find({ service: 'ssm', name: 'shop/api-key' })).toBe(CANARY);
    expect(await source.find({ service: 'secretsmanager', name: 'shop/api-key-AbCdEf' })).toBe(CANARY);
  });

  test('is refused without a value, or under a name that is none', async () => {
    expect(await cli.run(['secret', 'set', 'a'], { stdin: typed('') })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('SECRET_EMPTY'),
    });
    expect(await cli.run(['secret', 'set', '/a'], { stdin: typed('x') })).toMatchObject({ code: 2 });
    expect(await cli.run(['secret', 'set', 'a b'], { stdin: typed('x') })).toMatchObject({ code: 2 });
    expect(await cli.run(['secret', 'rm', 'nosuch'])).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('wharf secret ls'),
    });
  });

  test('is named by a variable of a service and of a task; the last word about a variable counts', async () => {
    const first = await cli.run(['deploy', 'web', '--image', 'hello:1', '--secret', 'KEY=shop/api-key', ...small]);
    expect(first).toMatchObject({ code: 0 });
    expect(payload()).toMatchObject({ secrets: [{ name: 'KEY', valueFrom: 'shop/api-key' }] });
    const plain = spec(await cli.run(['deploy', 'web', '-e', 'KEY=1', '--json']));
    expect(plain).toMatchObject({ env: { KEY: '1' } });
    expect(plain).not.toHaveProperty('secrets');
    const again = spec(await cli.run(['deploy', 'web', '--secret', 'KEY=shop/api-key', '--json']));
    expect(again).toMatchObject({ secrets: { KEY: 'shop/api-key' } });
    expect(again).not.toHaveProperty('env');
    expect(spec(await cli.run(['deploy', 'web', '--env-rm', 'KEY', '--json']))).not.toHaveProperty('secrets');
    await cli.run(['run', 'hello:1', '--no-wait', '--secret', 'shop', ...small]);
    expect(payload()).toMatchObject({ secrets: [{ name: 'shop', valueFrom: 'shop' }] });
  });

  test('is in no answer of the API', async () => {
    for (const route of cli.api.app.routes.filter(({ method, path }) => method === 'GET' && !path.includes('{'))) {
      expect(JSON.stringify((await cli.api.call('GET', route.path)).body)).not.toContain(CANARY);
    }
  });

  test('is the account’s own where the host keeps none', async () => {
    const api = await createApiFixture({}, { taskSecrets: undefined } as never);
    const { body } = await api.call('PUT', '/v1/secrets/a', { value: 'x' });
    expect(body).toMatchObject({ code: 'SECRETS_UNSUPPORTED', hint: expect.stringContaining('put-parameter') });
    await api.close();
  });
});
