import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type HttpCall, httpCall, parseEvents, WharfClient } from '../../lib/client/index.js';
import { type RunningServer, serve } from '../../lib/http/index.js';
import { silentLogger } from '../../lib/store/index.js';
import { type ApiFixture, createApiFixture } from '../http/api-fixture.js';

let api: ApiFixture;
let server: RunningServer;
let client: WharfClient;
const closing = new AbortController();

beforeEach(async () => {
  api = await createApiFixture();
  server = await serve({
    listen: { host: '127.0.0.1', port: 0 },
    api: api.app,
    registry: { fetch: () => new Response(null, { status: 404 }) },
    logger: silentLogger,
    closeMs: 100,
  });
  client = new WharfClient({ url: `${server.url}/`, token: api.tokens.admin });
  await api.base.images.add('hello:1');
});

afterEach(async () => {
  closing.abort();
  await server.close();
  await api.close();
});

async function* tar(...chunks: string[]): AsyncIterable<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

describe('the client', () => {
  test('does to the platform what it says', async () => {
    expect(await client.clusters.put('main', { instances: 1 })).toMatchObject({ name: 'main' });
    expect((await client.clusters.list()).clusters).toHaveLength(1);
    expect(await client.clusters.instances('main')).toHaveLength(1);
    const { release } = await client.services.put('main', 'web', { image: 'hello:1', count: 1, ports: [] });
    expect(release.number).toBe(1);
    const ends = async () => (await client.services.get('main', 'web')).deployment?.status === 'completed';
    await api.base.until('it is deployed', ends);
    expect((await client.services.releases('main', 'web')).releases).toHaveLength(1);
    await api.base.until(
      'its task is told of',
      async () => (await client.tasks.list('main', { service: 'web' })).tasks.length === 1,
    );
    const { tasks } = await client.tasks.list('main', { service: 'web', status: 'all', limit: 5 });
    const lines = [];
    for await (const line of client.tasks.logs('main', tasks[0]?.id ?? '')) lines.push(line.text);
    expect(lines).toEqual([expect.stringMatching(/^hello from/)]);
    expect(await client.images.tags('hello')).toMatchObject([{ tag: '1' }]);
    expect(await client.images.get('hello:1')).toMatchObject({ repository: 'hello' });
    const made = await client.tokens.create('ci', 'read');
    expect((await client.tokens.list()).map(({ name }) => name)).toContain('ci');
    await client.tokens.revoke(made.id);
    await client.services.remove('main', 'web');
    await client.clusters.remove('main', { force: true });
  });

  test('throws what the server said, with code, hint, pointers and request id', async () => {
    await expect(client.clusters.get('absent')).rejects.toMatchObject({ code: 'CLUSTER_NOT_FOUND', kind: 'not-found' });
    await expect(client.clusters.put('main', { instances: -1 })).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      kind: 'invalid',
      details: { errors: [expect.objectContaining({ pointer: '/instances' })], requestId: expect.any(String) },
    });
    const stranger = new WharfClient({ url: server.url, token: 'wrong' });
    await expect(stranger.clusters.list()).rejects.toMatchObject({ code: 'UNAUTHENTICATED', kind: 'unauthenticated' });
  });

  test('says that nobody answers, and what to do', async () => {
    const nobody = new WharfClient({ url: 'http://127.0.0.1:1', token: 'x' });
    await expect(nobody.clusters.list()).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE', kind: 'unavailable' });
  });

  test('streams a context, and hands on what its own source failed of', async () => {
    const build = await client.builds.fromTar(tar('one', 'two'), {
      tags: ['a', 'b:1'],
      args: { A: 'x=y' },
      noCache: true,
    });
    expect(build.request).toMatchObject({ tags: ['a', 'b:1'], args: { A: 'x=y' }, noCache: true });
    async function* broken(): AsyncIterable<Uint8Array> {
      yield Buffer.from('one');
      throw new Error('the disk is gone');
    }
    await expect(client.builds.fromTar(broken(), { tags: [] })).rejects.toThrow();
    expect(api.builds.submitted).toHaveLength(1);
  });

  test('follows a build to its end although every connection is cut', async () => {
    const { id } = await client.builds.fromTar(tar('x'), { tags: [] });
    let connections = 0;
    const cutting: HttpCall = async (url, request) => {
      const answer = await httpCall(url, request);
      if (!url.pathname.endsWith('/log')) return answer;
      connections += 1;
      return { ...answer, body: firstChunk(answer.body) };
    };
    const impatient = new WharfClient({ url: server.url, token: api.tokens.read, http: cutting });
    const seen: number[] = [];
    const following = (async () => {
      for await (const { sequence } of impatient.builds.follow(id)) {
        seen.push(sequence);
        api.builds.tell(
          id,
          sequence < 4 ? { type: 'message', text: String(sequence) } : { type: 'finished', status: 'failed' },
        );
      }
    })();
    api.builds.tell(id, { type: 'message', text: 'first' });
    await following;
    expect(seen).toEqual([1, 2, 3, 4, 5]);
    expect(connections).toBe(5);
  });
});

/** Breaks the connection after it. */
async function* firstChunk(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  for await (const chunk of body) {
    yield chunk;
    return;
  }
}

describe('an event stream', () => {
  test('is read over any cut of its bytes, without comments and half events', async () => {
    const text = ': hi\nid: 1\nevent: a\ndata: one\ndata: two\n\nid: 2\r\ndata:three\r\n\r\nid: 3\ndata: lost';
    for (let size = 1; size < text.length; size += 3) {
      const chunks = Array.from({ length: Math.ceil(text.length / size) }, (_, i) =>
        text.slice(i * size, (i + 1) * size),
      );
      const events = [];
      for await (const event of parseEvents(tar(...chunks))) events.push(event);
      expect(events).toEqual([
        { id: '1', event: 'a', data: 'one\ntwo' },
        { id: '2', event: 'message', data: 'three' },
      ]);
    }
  });
});
