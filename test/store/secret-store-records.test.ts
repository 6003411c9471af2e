import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { secretStoreContract } from '../contract/secret-store.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';

secretStoreContract('a record store', async () => {
  const store = await createTestStore();
  return { secrets: new RecordsSecretStore(store.records, { key: randomBytes(32) }), close: () => store.close() };
});

describe('a sealed secret', () => {
  const key = randomBytes(32);
  let store: TestStore;
  let secrets: RecordsSecretStore;
  beforeEach(async () => {
    store = await createTestStore();
    secrets = new RecordsSecretStore(store.records, { key });
    await secrets.put('name', 'hunter2');
  });
  afterEach(() => store.close());
  const sealed = async (): Promise<Record<string, string>> => {
    const record = await store.records.get<Record<string, string>>({ partition: 'SECRET', sort: 'name' });
    return record?.value ?? {};
  };

  test('is not readable in its record and differs at every put', async () => {
    const first = await sealed();
    expect(JSON.stringify(first)).not.toContain('hunter2');
    await secrets.put('name', 'hunter2');
    expect((await sealed())['sealed']).not.toBe(first['sealed']);
  });

  test('opens with the same key after a restart, and with no other', async () => {
    expect(await new RecordsSecretStore(store.records, { key }).get('name')).toBe('hunter2');
    const other = new RecordsSecretStore(store.records, { key: randomBytes(32) });
    await expect(other.get('name')).rejects.toMatchObject({
      code: 'SECRET_UNREADABLE',
      message: expect.stringContaining('another key'),
    });
  });

  test.each(['sealed', 'iv', 'tag'])('is refused when its %s was changed', async (part) => {
    const value = await sealed();
    const bytes = Buffer.from(value[part] ?? '', 'base64');
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    await store.records.put({ partition: 'SECRET', sort: 'name' }, { ...value, [part]: bytes.toString('base64') });
    await expect(secrets.get('name')).rejects.toMatchObject({ code: 'SECRET_UNREADABLE' });
  });

  test('cannot be moved to another name', async () => {
    await store.records.put({ partition: 'SECRET', sort: 'other' }, await sealed());
    await expect(secrets.get('other')).rejects.toMatchObject({ code: 'SECRET_UNREADABLE' });
  });

  test('needs a key of 32 bytes', () => {
    const make = (): unknown => new RecordsSecretStore(store.records, { key: randomBytes(16) });
    expect(make).toThrow(expect.objectContaining({ code: 'SECRET_KEY_INVALID' }));
  });
});
