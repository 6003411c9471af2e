/**
 * Every route of the registry against every kind of caller, each showing what they have in every way there is. The
 * table of routes makes the cells, so a new route is in it by itself. What a caller may not see looks the same whether
 * it is there or not.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { digestOf } from '../../../lib/oci/index.js';
import { ROUTES } from '../../../lib/registry/http/index.js';
import { manualClock } from '../../fakes/manual-clock.js';
import { imageSet } from './images.js';
import { type RunningRegistry, startTestRegistry } from './registry-server.js';
import { openEmbeddedStore, type OpenStore } from './stores.js';
import { Wire, type WireResponse } from './wire.js';

const ten = Buffer.from('0123456789');
const digest = digestOf(ten);
const [index] = imageSet('an empty index').manifests;
if (index === undefined) throw new Error('the set has no manifest');

const uploads = '/v2/{name}/blobs/uploads/';
const PATHS: Readonly<Record<string, string>> = {
  ping: '/v2/',
  catalog: '/v2/_catalog',
  tags: '/v2/{name}/tags/list',
  referrers: `/v2/{name}/referrers/${digest}`,
  'manifest-read': '/v2/{name}/manifests/latest',
  'manifest-put': '/v2/{name}/manifests/latest',
  'manifest-delete': '/v2/{name}/manifests/absent',
  'blob-read': `/v2/{name}/blobs/${digest}`,
  'blob-delete': `/v2/{name}/blobs/${digestOf('absent')}`,
  'upload-start': uploads,
  'upload-status': `${uploads}none.none`,
  'upload-append': `${uploads}none.none`,
  'upload-commit': `${uploads}none.none?digest=${digest}`,
  'upload-cancel': `${uploads}none.none`,
};

/** What each caller may do to own/app and absent/app, besides being let in; undefined: not even that. */
const CALLERS: Readonly<Record<string, readonly string[] | undefined>> = {
  nobody: undefined,
  'a wrong secret': undefined,
  'an expired account': undefined,
  'an expired robot': undefined,
  'a removed robot': undefined,
  'a foreign robot': ['login'],
  'a reading robot': ['login', 'pull'],
  'a writing robot': ['login', 'pull', 'push'],
  'a deleting robot': ['login', 'delete'],
  'a robot for everything': ['login', 'pull', 'push', 'delete', 'catalog'],
  'the read role': ['login', 'pull', 'catalog'],
  'the deploy role': ['login', 'pull', 'push', 'catalog'],
  'the admin role': ['login', 'pull', 'push', 'delete', 'catalog'],
};
/** `narrow`: a token of the flow that was asked for another repository only. */
const WAYS = ['basic', 'bearer', 'flow', 'expired flow', 'narrow flow'] as const;
type Way = (typeof WAYS)[number];

const clock = manualClock();
let store: OpenStore;
let registry: RunningRegistry;
let wire: Wire;
const secrets = new Map<string, string>();
const headers = new Map<string, string | null>();

beforeAll(async () => {
  store = await openEmbeddedStore({ clock });
  registry = await startTestRegistry(store);
  wire = new Wire(registry);
  await wire.push('own/app', ten);
  await wire.put('own/app', 'latest', index);
  await makeSecrets();
  for (const caller of Object.keys(CALLERS)) headers.set(`${caller} expired flow`, await headerFor(caller, 'flow'));
  clock.advance(600_000);
  for (const caller of Object.keys(CALLERS)) {
    for (const way of WAYS) {
      if (way !== 'expired flow') headers.set(`${caller} ${way}`, await headerFor(caller, way));
    }
  }
});
afterAll(async () => {
  await registry.close();
  await store.close();
});

async function makeSecrets(): Promise<void> {
  const { robots, apiTokens, tokens } = registry;
  const both = (...actions: ('pull' | 'push' | 'delete')[]) => [
    { repositories: 'own/*', actions },
    { repositories: 'absent/app', actions },
  ];
  const robot = async (name: string, grants: ReturnType<typeof both>, life = {}): Promise<string> =>
    (await robots.create(name, { grants, ...life })).secret;
  secrets.set('a wrong secret', 'wharf-robot_0123456789abcdef');
  secrets.set('an expired account', (await apiTokens.create('x', 'admin', { expiresInSeconds: 500 })).token);
  secrets.set('an expired robot', await robot('expired', both('pull', 'push', 'delete'), { expiresInSeconds: 500 }));
  secrets.set('a removed robot', await robot('removed', both('pull', 'push', 'delete')));
  await robots.remove('removed');
  secrets.set('a foreign robot', await robot('foreign', [{ repositories: 'foreign/*', actions: ['pull', 'push'] }]));
  secrets.set('a reading robot', await robot('reading', both('pull')));
  secrets.set('a writing robot', await robot('writing', both('pull', 'push')));
  secrets.set('a deleting robot', await robot('deleting', both('delete')));
  const everything = [{ repositories: '*', actions: ['pull', 'push', 'delete'] }] as ReturnType<typeof both>;
  secrets.set('a robot for everything', await robot('everything', everything));
  secrets.set('the read role', tokens.read);
  secrets.set('the deploy role', tokens.deploy);
  secrets.set('the admin role', tokens.admin);
}

/** Null: none is shown. */
async function headerFor(caller: string, way: Way): Promise<string | null> {
  const secret = secrets.get(caller);
  if (secret === undefined) return null;
  const basic = `Basic ${Buffer.from(`anyone:${secret}`).toString('base64')}`;
  if (way === 'basic') return basic;
  if (way === 'bearer') return `Bearer ${secret}`;
  const scopes =
    way === 'narrow flow'
      ? ['repository:foreign/app:*']
      : ['repository:own/app:*', 'repository:absent/app:*', 'registry:catalog:*'];
  const query = scopes.map((scope) => `scope=${encodeURIComponent(scope)}`).join('&');
  const answer = await wire.send('GET', `/token?service=wharf&${query}`, { authorization: basic });
  // Who gets no token shows the answer in its place: no credentials either.
  const { token } = JSON.parse(answer.bytes.toString()) as { token?: string };
  return `Bearer ${token ?? 'none'}`;
}

function rightsOf(caller: string, way: Way): readonly string[] | undefined {
  const rights = CALLERS[caller];
  if (rights === undefined || way === 'expired flow') return undefined;
  return way === 'narrow flow' ? ['login'] : rights;
}

const ask = (authorization: string | null, method: string, path: string): Promise<WireResponse> => {
  const isPut = method === 'PUT' && path.includes('/manifests/');
  const manifest = { body: index.bytes, headers: { 'content-type': index.mediaType } };
  return wire.send(method, path, { authorization, ...(isPut ? manifest : {}) });
};

/** All that a client can tell from an answer, the name it asked for taken out; the time it takes is not looked at. */
const looks = (answer: WireResponse): unknown => [
  answer.status,
  answer.bytes.toString(),
  [...answer.headers]
    .filter(([name]) => name !== 'date')
    .map(([name, value]) => `${name}: ${withoutName(name, value)}`)
    .sort(),
];
function withoutName(header: string, value: string): string {
  return header === 'www-authenticate' ? value.replaceAll(/(own|absent)\/app/g, '{name}') : value;
}

describe.each(ROUTES.flatMap((route) => route.methods.map((method) => ({ route, method, name: route.name }))))(
  '$method $name',
  ({ route, method }) => {
    test.each(Object.keys(CALLERS))('%s passes if and only if they have the right', async (caller) => {
      for (const way of caller === 'nobody' ? (['basic'] as const) : WAYS) {
        const authorization = headers.get(`${caller} ${way}`) ?? null;
        const path = PATHS[route.name] ?? '';
        const own = await ask(authorization, method, path.replace('{name}', 'own/app'));
        const absent = await ask(authorization, method, path.replace('{name}', 'absent/app'));
        const rights = rightsOf(caller, way);
        if (rights?.includes(route.needs) === true) {
          expect([way, [200, 201, 202, 204, 404].includes(own.status)]).toEqual([way, true]);
          expect([way, [401, 403].includes(absent.status)]).toEqual([way, false]);
          continue;
        }
        const isSecret = rights !== undefined && !way.endsWith('flow');
        expect([way, own.status]).toEqual([way, isSecret ? 403 : 401]);
        expect([way, looks(own)]).toEqual([way, looks(absent)]);
        const error = rights === undefined ? 'invalid_token' : 'insufficient_scope';
        const challenge = own.headers.get('www-authenticate');
        if (!isSecret && caller !== 'nobody') expect([way, challenge]).toEqual([way, expect.stringContaining(error)]);
      }
    });
  },
);
