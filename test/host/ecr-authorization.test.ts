/** Logins at Amazon ECR: one token for a region, asked for again before it ends. */
import { ECRClient } from '@aws-sdk/client-ecr';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { AwsEcrAuthorization } from '../../lib/host/aws/ecr-authorization.js';
import { RegistryLogins } from '../../lib/registry/client/index.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
import { jsonFailure, startJsonApi } from '../fakes/json-api.js';
import { manualClock } from '../fakes/manual-clock.js';

const registry = '123456789012.dkr.ecr.eu-west-1.amazonaws.com';
const clock = manualClock();
let store: TestStore;
let api: Awaited<ReturnType<typeof startJsonApi>>;
let logins: RegistryLogins;
let asked: string[];
let isRefused: boolean;
const clients: ECRClient[] = [];

beforeEach(async () => {
  asked = [];
  isRefused = false;
  store = await createTestStore({ clock });
  api = await startJsonApi(async ({ operation }) => {
    asked.push(operation);
    if (isRefused) return jsonFailure(400, 'AccessDeniedException', 'not allowed to GetAuthorizationToken');
    const authorizationToken = Buffer.from(`AWS:token-${asked.length}`).toString('base64');
    const data = {
      authorizationToken,
      expiresAt: clock.nowMs() / 1000 + 12 * 3600,
      proxyEndpoint: `https://${registry}`,
    };
    return { status: 200, body: JSON.stringify({ authorizationData: [data] }) };
  });
  const ecr = new AwsEcrAuthorization(clock, async (region) => {
    const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
    const client = new ECRClient({ region, endpoint: api.endpoint, credentials, maxAttempts: 1 });
    clients.push(client);
    return client;
  });
  logins = new RegistryLogins(new RecordsSecretStore(store.records, { key: Buffer.alloc(32, 1) }), ecr);
  await logins.put(registry, { ecr: true });
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await api.close();
  await store.close();
});

describe('a login at Amazon ECR', () => {
  test('is asked for once, and again shortly before it ends', async () => {
    const first = { username: 'AWS', password: 'token-1' };
    expect(await logins.credentialsFor(registry)).toEqual(first);
    clock.advance(11 * 3_600_000);
    expect(await logins.credentialsFor(registry)).toEqual(first);
    expect(await logins.credentialsFor(registry.replace('1234', '9876'))).toBeUndefined();
    clock.advance(55 * 60_000);
    expect(await logins.credentialsFor(registry)).toEqual({ username: 'AWS', password: 'token-2' });
    expect(asked).toEqual(['GetAuthorizationToken', 'GetAuthorizationToken']);
  });

  test('keeps nothing secret, and is for hosts of ECR only', async () => {
    expect(await logins.list()).toEqual([{ registry, kind: 'ecr' }]);
    await expect(logins.put('ghcr.io', { ecr: true })).rejects.toMatchObject({ code: 'REGISTRY_LOGIN_INVALID' });
    await expect(logins.put('dkr.ecr.eu-west-1.amazonaws.com.evil.org', { ecr: true })).rejects.toMatchObject({
      code: 'REGISTRY_LOGIN_INVALID',
    });
  });

  test('that AWS refuses says so, and the next one asks again', async () => {
    isRefused = true;
    await expect(logins.credentialsFor(registry)).rejects.toThrow(/ECR refused a request: AccessDenied/);
    isRefused = false;
    expect(await logins.credentialsFor(registry)).toMatchObject({ username: 'AWS' });
  });

  test('needs an AWS identity', async () => {
    const without = new RegistryLogins(new RecordsSecretStore(store.records, { key: Buffer.alloc(32, 1) }));
    await expect(without.credentialsFor(registry)).rejects.toMatchObject({
      code: 'REGISTRY_LOGIN_INVALID',
      hint: expect.stringContaining('get-login-password'),
    });
  });
});
