/** What every SecretStore must do. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { SecretStore } from '../../lib/store/index.js';

export interface SecretStoreSubject {
  readonly secrets: SecretStore;
  close(): Promise<void>;
}

export function secretStoreContract(name: string, open: () => Promise<SecretStoreSubject>): void {
  describe(`${name} as a secret store`, () => {
    let subject: SecretStoreSubject;
    let secrets: SecretStore;
    beforeEach(async () => {
      subject = await open();
      secrets = subject.secrets;
    });
    afterEach(() => subject.close());

    test('gives back what was put, whatever the text', async () => {
      for (const value of ['', 'hunter2', 'ö\0\n😀'.repeat(1000)]) {
        await secrets.put('name', value);
        expect(await secrets.get('name')).toBe(value);
      }
    });

    test('knows nothing of what was not put or was deleted', async () => {
      expect(await secrets.get('none')).toBeUndefined();
      await secrets.put('gone', 'x');
      await secrets.delete('gone');
      await secrets.delete('gone');
      expect(await secrets.get('gone')).toBeUndefined();
    });

    test('lists names only, sorted, by prefix', async () => {
      for (const secret of ['db/password', 'api/key', 'db/user']) await secrets.put(secret, 'value');
      expect(await secrets.list()).toEqual(['api/key', 'db/password', 'db/user']);
      expect(await secrets.list('db/')).toEqual(['db/password', 'db/user']);
    });

    test('refuses a name it cannot keep and a value that is too large, without repeating the value', async () => {
      for (const bad of ['', '/x', 'a b', 'a\n', 'x'.repeat(513)]) {
        await expect(secrets.put(bad, 'v')).rejects.toMatchObject({ code: 'SECRET_NAME_INVALID' });
      }
      const refused = await secrets.put('large', 'hunter2'.repeat(10_000)).catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: 'SECRET_TOO_LARGE', kind: 'too-large' });
      expect(String(refused)).not.toContain('hunter2');
    });
  });
}
