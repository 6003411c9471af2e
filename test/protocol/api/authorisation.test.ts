/** Every operation of the table with every kind of caller: who gets through is what the table says, nothing else. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Access } from '../../../lib/http/index.js';
import { type ApiFixture, createApiFixture } from '../../http/api-fixture.js';

let fixture: ApiFixture;
const callers = [
  'nobody',
  'unknown token',
  'revoked token',
  'expired token',
  'basic',
  'robot',
  'read',
  'deploy',
  'admin',
] as const;
type Caller = (typeof callers)[number];
const credentials = new Map<Caller, Record<string, string>>();

beforeAll(async () => {
  fixture = await createApiFixture();
  const { apiTokens, tokens, base } = fixture;
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
  const revoked = await apiTokens.create('revoked', 'admin');
  await apiTokens.revoke(revoked.id);
  const expired = await apiTokens.create('expired', 'admin', { expiresInSeconds: 0.001 });
  await base.until('it has expired', async () => (await apiTokens.verify(expired.token)) === undefined);
  credentials.set('nobody', {});
  credentials.set('unknown token', bearer('wharf_0123456789abcdef'));
  credentials.set('revoked token', bearer(revoked.token));
  credentials.set('expired token', bearer(expired.token));
  credentials.set('basic', { authorization: `Basic ${Buffer.from(`x:${tokens.admin}`).toString('base64')}` });
  // Rights to every repository are none to the API.
  const grants = [{ repositories: '*', actions: ['pull', 'push', 'delete'] }] as const;
  credentials.set('robot', bearer((await fixture.robots.create('foreign', { grants })).secret));
  for (const role of ['read', 'deploy', 'admin'] as const) credentials.set(role, bearer(tokens[role]));
});

afterAll(() => fixture.close());

const LETS_IN: Readonly<Record<Access, readonly Caller[]>> = {
  open: callers,
  read: ['read', 'deploy', 'admin'],
  deploy: ['deploy', 'admin'],
  admin: ['admin'],
};

const path = (template: string) =>
  template
    .replace('{reference+}', 'absent:1')
    .replace('{name+}', 'absent/repository')
    .replace(/\{\w+\}/g, 'absent');

describe('the authorisation matrix', () => {
  test('holds for every operation and every caller', async () => {
    const wrong: string[] = [];
    let cells = 0;
    for (const route of fixture.app.routes) {
      for (const caller of callers) {
        const response = await fixture.app.fetch(
          new Request(`http://wharf.test${path(route.path)}`, {
            method: route.method,
            headers: credentials.get(caller) ?? {},
          }),
        );
        await response.text();
        const isKnown = (['robot', 'read', 'deploy', 'admin'] as readonly Caller[]).includes(caller);
        const expected = LETS_IN[route.access].includes(caller) ? 'in' : isKnown ? 403 : 401;
        const got = response.status === 401 || response.status === 403 ? response.status : 'in';
        cells += 1;
        if (got !== expected)
          wrong.push(`${caller}: ${route.method} ${route.path} gave ${response.status}, not ${expected}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(cells).toBe(fixture.app.routes.length * callers.length);
    expect(fixture.app.routes.length).toBeGreaterThan(25);
  });

  test('only health and the document are open', () => {
    const open = fixture.app.routes.filter(({ access }) => access === 'open').map((route) => route.path);
    expect(open).toEqual(['/healthz', '/openapi.json']);
  });

  test('a refusal says how to come in, and what kind of token is wanted', async () => {
    const nobody = await fixture.call('GET', '/v1/clusters', undefined, { authorization: '' });
    expect(nobody.headers.get('www-authenticate')).toBe('Bearer realm="wharf"');
    expect(nobody.body).toMatchObject({ status: 401, code: 'UNAUTHENTICATED', hint: 'Authorization: Bearer <token>' });
    const reader = await fixture.call(
      'PUT',
      '/v1/clusters/a',
      { instances: 1 },
      { authorization: `Bearer ${fixture.tokens.read}` },
    );
    expect(reader.body).toMatchObject({ status: 403, code: 'FORBIDDEN' });
  });
});
