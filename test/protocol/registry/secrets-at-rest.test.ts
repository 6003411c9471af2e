/** What is secret is in no file of the store: looked for in all bytes on disk, in the forms it is sent in. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { RecordsSecretStore } from '../../../lib/store/records/secret-store-records.js';
import { createTestStore, type TestStore } from '../../fakes/embedded-store.js';
import { type RunningRegistry, startTestRegistry, TEST_SECRET_KEY } from './registry-server.js';
import { Wire } from './wire.js';

let store: TestStore;
let registry: RunningRegistry;
beforeAll(async () => {
  store = await createTestStore();
  registry = await startTestRegistry(store);
});
afterAll(async () => {
  await registry.close();
  await store.close();
});

async function bytesOnDisk(): Promise<Buffer> {
  const entries = await readdir(store.directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return Buffer.concat(await Promise.all(files.map((entry) => readFile(join(entry.parentPath, entry.name)))));
}

/** As it is, as a string of UTF-16, and in each alignment of base64. */
function forms(secret: string): readonly Buffer[] {
  const base64 = [0, 1, 2].map((shift) => {
    const text = Buffer.from(`${':'.repeat(shift)}${secret}`)
      .toString('base64')
      .replace(/=+$/, '');
    // The characters at both ends depend on what stands beside it.
    return text.slice(shift === 0 ? 0 : shift + 1, -1);
  });
  return [Buffer.from(secret), Buffer.from(secret, 'utf16le'), ...base64.map((text) => Buffer.from(text))];
}

test('neither what we show other registries nor what callers show us', async () => {
  const password = 'a-password-for-ghcr';
  const identityToken = 'an-identity-token-of-docker-io';
  await registry.logins.put('ghcr.io', { username: 'ci', password });
  await registry.logins.put('docker.io', { identityToken });
  const grants = [{ repositories: 'team/*', actions: ['pull'] }] as const;
  const robot = await registry.robots.create('ci', { grants });
  const second = await registry.robots.addSecret('ci');
  const basic = `Basic ${Buffer.from(`ci:${robot.secret}`).toString('base64')}`;
  const path = '/token?scope=repository:team/app:pull&offline_token=true';
  const answer = await new Wire(registry).send('GET', path, { authorization: basic });
  const { token } = JSON.parse(answer.bytes.toString()) as { token: string };
  const secrets = new RecordsSecretStore(store.records, { key: TEST_SECRET_KEY });
  const stored = JSON.parse((await secrets.get('registry/token-keys')) ?? '') as { keys: { d: string }[] };
  const [key] = stored.keys;
  if (key === undefined) throw new Error('no key signs tokens');

  const disk = await bytesOnDisk();
  const known = { robot: robot.secret, second: second.secret, admin: registry.tokens.admin };
  for (const [name, secret] of Object.entries({ password, identityToken, token, key: key.d, ...known })) {
    expect([name, secret.length > 10, forms(secret).some((form) => disk.includes(form))]).toEqual([name, true, false]);
  }
  // What is no secret is found in the same bytes.
  for (const plain of ['registry-login/ghcr.io', 'team/*']) {
    expect([plain, forms(plain).some((form) => disk.includes(form))]).toEqual([plain, true]);
  }
});
