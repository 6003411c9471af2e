import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { digestOf } from '../../lib/oci/index.js';
import { type ApiFixture, createApiFixture } from './api-fixture.js';

let api: ApiFixture;

beforeAll(async () => {
  api = await createApiFixture({ maxContextBytes: 4096 });
  await api.base.images.add('hello:1');
  await api.base.images.add('team/app:v1');
  await api.call('PUT', '/v1/clusters/main', { instances: 2 });
});

afterAll(() => api.close());

describe('a request that is wrong', () => {
  test('names every wrong part by its JSON pointer', async () => {
    const spec = {
      image: '',
      count: -1,
      ports: [{ container: 70_000 }, { container: 80, hots: 1 }],
      env: { 'A=B': 'x' },
    };
    const { status, body, headers } = await api.call('PUT', '/v1/clusters/main/services/web', spec);
    expect(status).toBe(400);
    expect(headers.get('content-type')).toBe('application/problem+json');
    expect(body).toMatchObject({
      code: 'REQUEST_INVALID',
      status: 400,
      title: 'The request is not valid',
      retryable: false,
    });
    const pointers = (body['errors'] as { pointer: string }[]).map(({ pointer }) => pointer);
    expect(pointers.sort()).toEqual(['/count', '/env/A=B', '/image', '/ports/0/container', '/ports/1/hots']);
    expect(body['requestId']).toBe(headers.get('x-request-id'));
  });

  test.each([
    ['a body that is not JSON', '{"instances":', {}, 400, 'JSON_INVALID'],
    [
      'another content type',
      'instances=1',
      { 'content-type': 'application/x-www-form-urlencoded' },
      415,
      'MEDIA_TYPE_UNSUPPORTED',
    ],
    ['a body over its limit', `{"instances":1,"x":"${'x'.repeat(1024 * 1024)}"}`, {}, 413, 'BODY_TOO_LARGE'],
    ['an announced length over its limit', '{}', { 'content-length': '99999999' }, 413, 'BODY_TOO_LARGE'],
    ['a list for an object', '[]', {}, 400, 'REQUEST_INVALID'],
  ])('%s is refused', async (_, body, headers, status, code) => {
    const answer = await api.call('PUT', '/v1/clusters/other', body, headers);
    expect(answer).toMatchObject({ status, body: { code, status } });
  });

  test('in its query or path is told so', async () => {
    const query = await api.call('GET', '/v1/clusters?limit=0&cusor=x');
    expect(query.body['errors']).toEqual([
      expect.objectContaining({ in: 'query', pointer: '/limit' }),
      expect.objectContaining({ in: 'query', pointer: '/cusor' }),
    ]);
    const path = await api.call('GET', '/v1/clusters/Not_A_Name');
    expect(path.body['errors']).toEqual([expect.objectContaining({ in: 'path', pointer: '/cluster' })]);
  });

  test('for a path or method that is not there says what is', async () => {
    expect(await api.call('GET', '/v1/nothing')).toMatchObject({ status: 404, body: { code: 'ROUTE_NOT_FOUND' } });
    const wrong = await api.call('DELETE', '/v1/builds');
    expect(wrong).toMatchObject({ status: 405, body: { code: 'METHOD_NOT_ALLOWED' } });
    expect(wrong.headers.get('allow')).toBe('POST, PUT, GET');
  });
});

describe('Idempotency-Key', () => {
  const spec = { image: 'hello:1', cpu: 2, memory: 6 };
  const run = (key: string, change: object = {}) =>
    api.call('POST', '/v1/clusters/main/tasks', { ...spec, ...change }, { 'idempotency-key': key });

  test('does the work once and answers the same again', async () => {
    const first = await run('k1');
    expect(first.status).toBe(201);
    const again = await run('k1');
    expect(again).toMatchObject({ status: 201, body: { id: first.body['id'] } });
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect(again.headers.get('location')).toBe(first.headers.get('location'));
    expect((await run('k2')).body['id']).not.toBe(first.body['id']);
  });

  test('starts so many tasks once', async () => {
    const first = await run('many', { count: 12 });
    expect(first).toMatchObject({ status: 200, body: { notStarted: 0, failures: [] } });
    expect(first.body['tasks']).toHaveLength(12);
    expect((await run('many', { count: 12 })).body).toEqual(first.body);
    for (const count of [0, 101, 1.5]) {
      const refused = await run('wrong', { count });
      expect(refused).toMatchObject({ status: 400, body: { errors: [{ pointer: '/count' }] } });
    }
  });

  test('with other parameters is refused', async () => {
    await run('k3');
    expect(await run('k3', { memory: 7 })).toMatchObject({ status: 409, body: { code: 'IDEMPOTENCY_KEY_REUSED' } });
  });

  test('used by many at once makes one task', async () => {
    const answers = await Promise.all(Array.from({ length: 5 }, () => run('k4')));
    const made = new Set(answers.filter(({ status }) => status === 201).map(({ body }) => body['id']));
    expect(made.size).toBe(1);
    const rest = answers.filter(({ status }) => status !== 201);
    expect(rest.every(({ body }) => body['code'] === 'IDEMPOTENCY_KEY_BUSY')).toBe(true);
  });

  test('keeps a refusal too, but not one of the validation', async () => {
    const absent = { image: 'absent:1' };
    expect(await run('k5', absent)).toMatchObject({ status: 404, body: { code: 'IMAGE_NOT_FOUND' } });
    const kept = await run('k5', absent);
    expect(kept.status).toBe(404);
    expect(kept.headers.get('idempotent-replayed')).toBe('true');
    expect((await run('k6', { memory: 'x' })).status).toBe(400);
    expect((await run('k6')).status).toBe(201);
  });

  test('that is not usable is refused', async () => {
    expect(await run('a b')).toMatchObject({ status: 400, body: { code: 'IDEMPOTENCY_KEY_INVALID' } });
    expect(await run('x'.repeat(256))).toMatchObject({ status: 400 });
  });

  test('belongs to its token: another one may use the same', async () => {
    const first = await run('k7');
    const other = await api.call('POST', '/v1/clusters/main/tasks', spec, {
      'idempotency-key': 'k7',
      authorization: `Bearer ${api.tokens.deploy}`,
    });
    expect(other.status).toBe(201);
    expect(other.body['id']).not.toBe(first.body['id']);
  });
});

describe('builds', () => {
  test('start from a tar in the body, with everything said in the query', async () => {
    const query = 'tag=hello:2&tag=hello&target=final&arg=A=1&arg=B=x=y&label=l=1&no-cache=true&platform=linux/amd64';
    const { status, body, headers } = await api.call('POST', `/v1/builds?${query}`, 'a tar', {
      'content-type': 'application/x-tar',
    });
    expect(status).toBe(202);
    expect(headers.get('location')).toBe(`/v1/builds/${String(body['id'])}`);
    expect(api.builds.submitted.at(-1)).toEqual({
      context: digestOf('a tar'),
      tags: ['hello:2', 'hello'],
      target: 'final',
      args: { A: '1', B: 'x=y' },
      labels: { l: '1' },
      platform: 'linux/amd64',
      noCache: true,
    });
  });

  test('start from an uploaded context', async () => {
    const uploaded = await api.call('POST', '/v1/contexts', 'context', { 'content-type': 'application/gzip' });
    expect(uploaded).toMatchObject({ status: 201, body: { digest: digestOf('context'), sizeBytes: 7 } });
    const request = { context: digestOf('context'), tags: ['hello:3'], dockerfile: 'sub/Dockerfile' };
    expect(await api.call('POST', '/v1/builds', request)).toMatchObject({ status: 202, body: { request } });
    const absent = { context: digestOf('absent'), tags: [] };
    expect(await api.call('POST', '/v1/builds', absent)).toMatchObject({
      status: 404,
      body: { code: 'CONTEXT_NOT_FOUND' },
    });
  });

  test('are the same build for the same Idempotency-Key, and refused for another context', async () => {
    const start = (tar: string) =>
      api.call('POST', '/v1/builds?tag=a', tar, { 'content-type': 'application/x-tar', 'idempotency-key': 'b1' });
    const first = await start('tar one');
    expect((await start('tar one')).body['id']).toBe(first.body['id']);
    expect(await start('tar two')).toMatchObject({ status: 409, body: { code: 'IDEMPOTENCY_KEY_REUSED' } });
  });

  test.each([
    ['a context over its limit', 'tag=a', 'x'.repeat(5000), 'application/x-tar', 413, 'BODY_TOO_LARGE'],
    ['an empty body', 'tag=a', '', 'application/x-tar', 400, 'CONTEXT_EMPTY'],
    ['a tag that is no name', 'tag=UPPER', 'x', 'application/x-tar', 400, 'REFERENCE_INVALID'],
    ['a tag with a digest', `tag=a@${digestOf('x')}`, 'x', 'application/x-tar', 400, 'TAG_INVALID'],
    ['an argument without a value', 'arg=A', 'x', 'application/x-tar', 400, 'REQUEST_INVALID'],
    ['a content that is no tar', 'tag=a', 'x', 'image/png', 415, 'MEDIA_TYPE_UNSUPPORTED'],
  ])('refuse %s', async (_, query, body, type, status, code) => {
    const answer = await api.call('POST', `/v1/builds?${query}`, body, { 'content-type': type });
    expect(answer).toMatchObject({ status, body: { code } });
  });

  test('are followed as events, and resumed after the last one that was seen', async () => {
    const { body } = await api.call('POST', '/v1/builds?tag=a', 'tar three', { 'content-type': 'application/x-tar' });
    const id = String(body['id']);
    api.builds.tell(id, { type: 'step-started', step: 1, name: '[1/1]', instruction: 'RUN make' });
    api.builds.tell(id, { type: 'step-output', step: 1, stream: 'stdout', text: 'made\n' });
    api.builds.tell(id, { type: 'finished', status: 'cancelled' });
    const all = await api.call('GET', `/v1/builds/${id}/log`);
    expect(all.headers.get('content-type')).toBe('text/event-stream');
    const text = String(all.body['text']);
    expect(text.match(/^id: .*$/gm)).toEqual(['id: 1', 'id: 2', 'id: 3']);
    expect(text.match(/^event: .*$/gm)).toEqual(['event: step-started', 'event: step-output', 'event: finished']);
    const rest = await api.call('GET', `/v1/builds/${id}/log`, undefined, { 'last-event-id': '2' });
    expect(String(rest.body['text']).match(/^id: .*$/gm)).toEqual(['id: 3']);
    const wrong = await api.call('GET', `/v1/builds/${id}/log`, undefined, { 'last-event-id': 'x' });
    expect(wrong.status).toBe(400);
  });

  test('are shown as text to curl while they run, ending in the exit status', async () => {
    const response = await api.app.fetch(
      new Request('http://wharf.test/v1/builds?tag=a', {
        method: 'PUT',
        body: 'tar four',
        headers: {
          authorization: `Bearer ${api.tokens.deploy}`,
          'user-agent': 'curl/8.0',
          'content-type': 'application/x-tar',
        },
      }),
    );
    const id = (response.headers.get('location') ?? '').split('/').at(-1) ?? '';
    const text = response.text();
    api.builds.tell(id, { type: 'step-started', step: 1, name: '[1/2]', instruction: 'COPY . .' });
    api.builds.tell(id, { type: 'step-finished', step: 1, cached: true, milliseconds: 1 });
    api.builds.tell(id, { type: 'step-started', step: 2, name: '[2/2]', instruction: 'RUN false' });
    api.builds.tell(id, { type: 'step-output', step: 2, stream: 'stderr', text: 'no' });
    api.builds.tell(id, { type: 'step-finished', step: 2, cached: false, milliseconds: 20, failed: true });
    const error = { code: 'RUN_FAILED', message: 'RUN false ended with 1', file: 'Dockerfile', line: 3 };
    api.builds.tell(id, { type: 'finished', status: 'failed', error });
    const lines = (await text).split('\n');
    expect(lines.slice(1, 3)).toEqual(['#1 [1/2] COPY . .', '#1 CACHED']);
    expect(lines[4]).toMatch(/^#2 \d+\.\d{3} no$/);
    expect(lines.slice(-4)).toEqual([
      '#2 ERROR after 0.0s',
      'ERROR RUN_FAILED: Dockerfile:3: RUN false ended with 1',
      'exit status 1',
      '',
    ]);
  });

  test('can be cancelled, listed and read; an absent one cannot', async () => {
    const { body } = await api.call('POST', '/v1/builds', 'tar five', { 'content-type': 'application/x-tar' });
    const id = String(body['id']);
    expect(await api.call('POST', `/v1/builds/${id}/cancel`)).toMatchObject({
      status: 202,
      body: { status: 'cancelled' },
    });
    expect(await api.call('GET', `/v1/builds/${id}`)).toMatchObject({ status: 200, body: { id } });
    expect((await api.call('GET', '/v1/builds?limit=1')).body['builds']).toHaveLength(1);
    for (const path of ['', '/log', '/cancel']) {
      const answer = await api.call(path === '/cancel' ? 'POST' : 'GET', `/v1/builds/absent${path}`);
      expect(answer).toMatchObject({ status: 404, body: { code: 'BUILD_NOT_FOUND' } });
    }
  });
});

describe('images', () => {
  test('are found by names with slashes, written plainly or encoded', async () => {
    expect((await api.call('GET', '/v1/repositories')).body).toEqual({ repositories: ['hello', 'team/app'] });
    const first = await api.call('GET', '/v1/repositories?limit=1');
    const rest = await api.call('GET', `/v1/repositories?limit=1&cursor=${String(first.body['cursor'])}`);
    expect(rest.body).toEqual({ repositories: ['team/app'] });
    for (const name of ['team/app', 'team%2Fapp']) {
      expect(await api.call('GET', `/v1/repositories/${name}/tags`)).toMatchObject({
        status: 200,
        body: { tags: [{ tag: 'v1' }] },
      });
      const image = await api.call('GET', `/v1/images/${name}:v1`);
      expect(image).toMatchObject({
        status: 200,
        body: { repository: 'team/app', tag: 'v1', platform: 'linux/amd64', layers: [] },
      });
      const byDigest = await api.call('GET', `/v1/images/${name}@${String(image.body['digest'])}`);
      expect(byDigest.body['digest']).toBe(image.body['digest']);
    }
    expect(await api.call('GET', '/v1/images/absent:1')).toMatchObject({
      status: 404,
      body: { code: 'IMAGE_NOT_FOUND' },
    });
  });
});

describe('a service over HTTP', () => {
  test('is made, read, rolled back and deleted', async () => {
    const path = '/v1/clusters/main/services/web';
    const spec = { image: 'hello:1', count: 1, cpu: 2, memory: 6 };
    const made = await api.call('PUT', path, spec);
    expect(made).toMatchObject({ status: 202, body: { changed: true, release: { number: 1, spec } } });
    const ends = async () => {
      const { body } = await api.call('GET', path);
      return (body['deployment'] as { status: string }).status === 'completed';
    };
    await api.base.until('release 1 is deployed', ends);
    expect((await api.call('PUT', path, spec)).status).toBe(200);
    await api.call('PUT', path, { ...spec, env: { A: '1' } });
    await api.base.until('release 2 is deployed', ends);
    const back = await api.call('POST', `${path}/rollback`, {});
    expect(back).toMatchObject({ status: 202, body: { release: { number: 3, rollbackOf: 1 } } });
    await api.base.until('release 3 is deployed', ends);
    const { body } = await api.call('GET', `${path}/releases?limit=2`);
    expect(body['releases']).toMatchObject([{ number: 3 }, { number: 2 }]);
    const rest = await api.call('GET', `${path}/releases?limit=2&cursor=${String(body['cursor'])}`);
    expect(rest.body['releases']).toMatchObject([{ number: 1 }]);
    expect((await api.call('GET', `${path}/deployments`)).body['deployments']).toHaveLength(3);
    const events = await api.call('GET', '/v1/events?cluster=main&service=web');
    expect((events.body['events'] as { type: string }[]).map(({ type }) => type)).toContain('deployment-completed');
    expect(await api.call('GET', '/v1/events?service=web')).toMatchObject({ status: 400 });
    expect((await api.call('DELETE', path)).status).toBe(202);
    await api.base.until('it is gone', async () => (await api.call('GET', path)).status === 404);
  });

  test('has task logs as events that resume, and as text', async () => {
    const { body } = await api.call('POST', '/v1/clusters/main/tasks', { image: 'hello:1', cpu: 2, memory: 6 });
    const path = `/v1/clusters/main/tasks/${String(body['id'])}`;
    await api.base.until('it runs', async () => (await api.call('GET', path)).body['status'] === 'RUNNING');
    const events = await api.call('GET', `${path}/logs`);
    const [, id = ''] = /^id: (\d+-1)$/m.exec(String(events.body['text'])) ?? [];
    expect(id).not.toBe('');
    const text = await api.call('GET', `${path}/logs`, undefined, { accept: 'text/plain' });
    expect(text.body['text']).toMatch(/^hello from [0-9a-f]+\n$/);
    expect(await api.call('POST', `${path}/stop`, { reason: 'enough' })).toMatchObject({ status: 202 });
  });
});

describe('tokens', () => {
  test('are made, shown once, listed without their secret, and revoked', async () => {
    const made = await api.call('POST', '/v1/tokens', { name: 'ci', role: 'deploy', expiresInSeconds: 60 });
    expect(made).toMatchObject({ status: 201, body: { name: 'ci', role: 'deploy' } });
    const headers = { authorization: `Bearer ${String(made.body['token'])}` };
    expect((await api.call('GET', '/v1/clusters', undefined, headers)).status).toBe(200);
    const listed = await api.call('GET', '/v1/tokens');
    expect(JSON.stringify(listed.body)).not.toContain(String(made.body['token']));
    expect((await api.call('DELETE', `/v1/tokens/${String(made.body['id'])}`)).status).toBe(204);
    expect((await api.call('GET', '/v1/clusters', undefined, headers)).status).toBe(401);
    expect((await api.call('DELETE', '/v1/tokens/absent')).status).toBe(404);
  });
});
