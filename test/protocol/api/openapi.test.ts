import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { imageSet } from '../registry/images.js';
import { type ApiFixture, createApiFixture } from '../../http/api-fixture.js';

let api: ApiFixture;
let document: Record<string, unknown>;

beforeAll(async () => {
  api = await createApiFixture();
  document = (await api.call('GET', '/openapi.json', undefined, { authorization: '' })).body;
});

afterAll(() => api.close());

describe('the OpenAPI document', () => {
  test('has every route of the table once, and nothing else', () => {
    const paths = document['paths'] as Record<string, Record<string, { operationId: string }>>;
    const documented = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { operationId }]) => `${method.toUpperCase()} ${path} ${operationId}`),
    );
    const table = api.app.routes.map((route) => `${route.method} ${route.path.replace('+}', '}')} ${route.id}`);
    expect(documented.sort()).toEqual(table.sort());
    expect(new Set(api.app.routes.map(({ id }) => id)).size).toBe(api.app.routes.length);
  });

  test('points only at parts that are there', () => {
    const refs = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, ref = '']) => ref);
    expect(refs.length).toBeGreaterThan(20);
    const missing = refs.filter((ref) => {
      let part: unknown = document;
      for (const name of ref.slice(2).split('/')) part = (part as Record<string, unknown> | undefined)?.[name];
      return part === undefined;
    });
    expect(missing).toEqual([]);
  });

  test('declares every parameter of every path', () => {
    const paths = document['paths'] as Record<string, Record<string, { parameters: { name: string; in: string }[] }>>;
    for (const [path, methods] of Object.entries(paths)) {
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name).sort();
      for (const { parameters } of Object.values(methods)) {
        const declared = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name);
        expect(declared.sort()).toEqual(named);
      }
    }
  });

  test('names an answer for success and the problem for everything else', () => {
    const paths = document['paths'] as Record<string, Record<string, { responses: object }>>;
    for (const methods of Object.values(paths)) {
      for (const { responses } of Object.values(methods)) {
        expect(Object.keys(responses)).toContain('default');
        // 101: the connection becomes a session, as for exec.
        expect(Object.keys(responses).some((status) => status === '101' || status.startsWith('2'))).toBe(true);
      }
    }
  });

  test('describes what the server really answers', async () => {
    await api.base.images.add('hello:1');
    await api.call('PUT', '/v1/clusters/main', { instances: 1 });
    await api.call('PUT', '/v1/clusters/main/services/web', { image: 'hello:1', count: 1, ports: [{ container: 80 }] });
    await api.call('POST', '/v1/builds?tag=a', 'x', { 'content-type': 'application/x-tar' });
    const { id } = (await api.call('POST', '/v1/clusters/main/tasks', { image: 'hello:1' })).body;
    const [index] = imageSet('an empty index').manifests;
    if (index === undefined) throw new Error('the set has no manifest');
    await api.registry.putManifest('team/app', index.bytes, index.mediaType, ['v1']);
    await api.robots.create('ci', { grants: [{ repositories: 'team/*', actions: ['pull'] }] });
    const gets: Record<string, string> = {
      getTask: `/v1/clusters/main/tasks/${String(id)}`,
      getImage: '/v1/images/hello:1',
      listTags: '/v1/repositories/hello/tags',
      getCluster: '/v1/clusters/main',
      getRobot: '/v1/registry/robots/ci',
      getTagHistory: '/v1/repositories/team/app/tags/v1/history',
      getService: '/v1/clusters/main/services/web',
    };
    const streams = ['followBuild', 'getTaskLogs', 'getBuild', 'exportBuild', 'exportBuildCache', 'exportImage'];
    for (const route of api.app.routes.filter(({ method }) => method === 'GET')) {
      if (streams.includes(route.id)) continue;
      const path = gets[route.id] ?? route.path.replace('{cluster}', 'main').replace('{service}', 'web');
      const { status, body } = await api.call('GET', path);
      expect([route.id, status]).toEqual([route.id, 200]);
      const schema = route.answers.find((answer) => answer.status === 200)?.schema;
      const result = schema?.safeParse(body);
      expect([route.id, result?.error?.issues]).toEqual([route.id, undefined]);
    }
  });
});
