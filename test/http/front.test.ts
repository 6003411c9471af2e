import { Agent, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Target } from '../../lib/engine/index.js';
import { createFront, type Front, type RunningServer, serve } from '../../lib/http/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { silentLogger } from '../../lib/store/index.js';
import { type Backend, startBackend, until } from './backend.js';

const HOST = 'web.main.localhost';
const nothing = { fetch: () => new Response('not the front', { status: 418 }) };

let front: Front;
let server: RunningServer;
let arn: string;
const backends: Backend[] = [];
const agent = new Agent({ keepAlive: true });

beforeEach(async () => {
  front = createFront({ clock: systemClock, logger: silentLogger }, { drainMs: 500 });
  const listen = { host: '127.0.0.1', port: 0 };
  server = await serve({ listen, api: nothing, registry: nothing, front, logger: silentLogger, closeMs: 200 });
  arn = (await front.targetGroupFor({ cluster: 'main', service: 'web', port: 8080 })) ?? '';
});

afterEach(async () => {
  agent.destroy();
  await Promise.all(backends.splice(0).map((backend) => backend.close()));
  await server.close();
});

async function backend(...args: Parameters<typeof startBackend>): Promise<Backend> {
  const started = await startBackend(...args);
  backends.push(started);
  return started;
}

async function healthy(target: Target): Promise<void> {
  await front.register(arn, target);
  await until('the target is healthy', () => front.health(arn, target) === 'healthy');
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: Record<string, unknown>;
}

function ask(
  path = '/',
  options: { method?: string; body?: string; host?: string; headers?: object } = {},
): Promise<Answer> {
  const { method = 'GET', body, host = `${HOST}:${server.port}`, headers = {} } = options;
  return new Promise((resolve, reject) => {
    const asking = httpRequest({
      host: '127.0.0.1',
      port: server.port,
      path,
      method,
      agent,
      headers: { host, ...headers },
    });
    asking.once('error', reject);
    asking.once('response', (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.once('end', () => resolve({ status: response.statusCode ?? 0, body: text, headers: response.headers }));
      response.once('error', reject);
    });
    asking.end(body);
  });
}

describe('the front', () => {
  test('loses no request while the targets of a service are replaced under load, again and again', async () => {
    let current = await backend((_, response) => response.end('release 0'));
    await healthy(current.target);
    const answers = new Map<string, number>();
    const failures: unknown[] = [];
    const over = new AbortController();
    const client = async (worker: number) => {
      for (let n = 0; !over.signal.aborted; n += 1) {
        const post = (n + worker) % 3 === 0;
        try {
          const answer = await ask(`/${n}`, post ? { method: 'POST', body: 'x'.repeat(n % 5000) } : {});
          if (answer.status !== 200) failures.push(answer);
          answers.set(answer.body, (answers.get(answer.body) ?? 0) + 1);
        } catch (error) {
          failures.push(error);
        }
      }
    };
    const clients = Array.from({ length: 8 }, (_, worker) => client(worker));
    for (let release = 1; release <= 5; release += 1) {
      const next = await backend((request, response) => {
        // A request that takes its time is under way when its target has to go.
        request
          .resume()
          .once('end', () => setTimeout(() => response.end(`release ${release}`), release % 2 === 0 ? 30 : 0));
      });
      await healthy(next.target);
      await until('the new release has answered', () => (answers.get(`release ${release}`) ?? 0) > 20);
      const leaving = current;
      current = next;
      await front.deregister(arn, leaving.target);
      await leaving.close();
    }
    over.abort();
    await Promise.all(clients);
    expect(failures).toEqual([]);
    expect([...answers.keys()].sort()).toEqual([0, 1, 2, 3, 4, 5].map((n) => `release ${n}`));
  });

  test('sends nothing to a target before its probe has passed', async () => {
    let isReady = false;
    const seen: (string | undefined)[] = [];
    const slow = await backend((request, response) => {
      seen.push(request.url);
      response.statusCode = isReady ? 200 : 500;
      response.end('here');
    });
    arn = (await front.targetGroupFor({ cluster: 'main', service: 'web', port: 8080, healthPath: '/ready' })) ?? '';
    await front.register(arn, slow.target);
    await until('it was probed twice', () => seen.length >= 2);
    expect(front.health(arn, slow.target)).toBe('initial');
    const early = await ask('/early');
    expect(early).toMatchObject({
      status: 503,
      body: expect.stringContaining('No task of web.main.localhost is healthy'),
    });
    expect(early.headers['retry-after']).toBe('1');
    isReady = true;
    await until('it is healthy', () => front.health(arn, slow.target) === 'healthy');
    expect(await ask('/late')).toMatchObject({ status: 200 });
    expect(seen.filter((url) => url !== '/ready')).toEqual(['/late']);
  });

  test('tells a target that never becomes healthy, and one that stopped being so', async () => {
    const options = {
      cluster: 'main',
      service: 'web',
      port: 8080,
      startPeriodSeconds: 0,
      intervalSeconds: 0.05,
      retries: 1,
    };
    await front.targetGroupFor(options);
    const gone = await backend((_, response) => response.end());
    await gone.close();
    await front.register(arn, gone.target);
    await until('it is unhealthy', () => front.health(arn, gone.target) === 'unhealthy');
    const dying = await backend((_, response) => response.end());
    await healthy(dying.target);
    await dying.close();
    await until('it is unhealthy', () => front.health(arn, dying.target) === 'unhealthy');
    expect(front.health(arn, { host: '127.0.0.1', port: 1 })).toBe('unused');
  });

  test('spreads requests, giving the next to the target with the fewest under way', async () => {
    const waiting: (() => void)[] = [];
    const counts = [0, 0];
    for (const n of [0, 1]) {
      const each = await backend((_, response) => {
        counts[n] = (counts[n] ?? 0) + 1;
        waiting.push(() => response.end(String(n)));
      });
      await healthy(each.target);
    }
    const asked = Array.from({ length: 6 }, () => ask());
    await until('all arrived', () => waiting.length === 6);
    expect(counts).toEqual([3, 3]);
    for (const answer of waiting) answer();
    await Promise.all(asked);
  });

  test('streams both ways: the first byte of the answer comes before the last of the question', async () => {
    const echo = await backend((request, response) => request.pipe(response));
    await healthy(echo.target);
    const heard: string[] = [];
    await new Promise<void>((resolve, reject) => {
      const asking = httpRequest({ port: server.port, host: '127.0.0.1', method: 'POST', headers: { host: HOST } });
      asking.once('error', reject);
      asking.once('response', (response) => {
        response.on('data', (chunk: Buffer) => {
          heard.push(chunk.toString());
          if (heard.length === 1) asking.end('two');
        });
        response.once('end', resolve);
      });
      asking.write('one');
    });
    expect(heard.join('')).toBe('onetwo');
  });

  test('tells the target who asked, keeps its host, and keeps hop-by-hop headers to itself', async () => {
    const mirror = await backend((request, response) => response.end(JSON.stringify(request.headers)));
    await healthy(mirror.target);
    const headers = { connection: 'keep-alive, x-mine', 'x-mine': '1', 'x-forwarded-for': '10.0.0.1', 'x-kept': 'yes' };
    const seen = JSON.parse((await ask('/', { headers })).body) as Record<string, string>;
    expect(seen).toMatchObject({
      host: `${HOST}:${server.port}`,
      'x-forwarded-for': '10.0.0.1, 127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': `${HOST}:${server.port}`,
      'x-kept': 'yes',
    });
    expect(seen).not.toHaveProperty('x-mine');
  });

  test('answers 404 for names nobody deployed', async () => {
    expect(await ask('/', { host: 'no.main.localhost' })).toMatchObject({
      status: 404,
      body: 'No service answers at no.main.localhost.\n',
    });
    expect(await ask('/', { host: 'localhost' })).toMatchObject({ status: 418 });
    await front.remove('main', 'web');
    expect(await ask()).toMatchObject({ status: 404 });
  });

  test('asks another target when one refuses the connection, with the body untouched', async () => {
    const dead = await backend((_, response) => response.end('dead'));
    const alive = await backend((request, response) => request.pipe(response));
    await healthy(dead.target);
    await healthy(alive.target);
    await dead.close();
    const bodies = await Promise.all(
      Array.from({ length: 6 }, (_, n) => ask('/', { method: 'POST', body: `body ${n}` })),
    );
    expect(bodies.map(({ status, body }) => `${status} ${body}`)).toEqual(
      Array.from({ length: 6 }, (_, n) => `200 body ${n}`),
    );
  });

  test('uses a fresh connection when a kept one had died', async () => {
    const each = await backend((_, response) => response.end('ok'));
    // The target closes idle connections at once, just when the front wants to use them.
    each.server.keepAliveTimeout = 1;
    await healthy(each.target);
    const answers = [];
    for (let n = 0; n < 40; n += 1) answers.push((await ask()).status);
    expect(new Set(answers)).toEqual(new Set([200]));
  });

  test('says 502 when the target breaks off before it answered', async () => {
    const rude = await backend((request) => request.socket.destroy());
    await healthy(rude.target);
    expect(await ask('/', { method: 'POST', body: 'x' })).toMatchObject({
      status: 502,
      body: expect.stringContaining('broke off'),
    });
  });

  test('waits for requests under way when a target leaves, and gives it no new ones', async () => {
    const arrived: (() => void)[] = [];
    const leaving = await backend((_, response) => arrived.push(() => response.end('late')));
    await healthy(leaving.target);
    const underWay = ask();
    await until('it arrived', () => arrived.length === 1);
    let isGone = false;
    const going = front.deregister(arn, leaving.target).then(() => (isGone = true));
    expect(front.health(arn, leaving.target)).toBe('draining');
    expect((await ask()).status).toBe(503);
    expect(isGone).toBe(false);
    for (const finish of arrived) finish();
    expect((await underWay).body).toBe('late');
    await going;
    expect(front.health(arn, leaving.target)).toBe('unused');
  });

  test('waits only so long', async () => {
    front.close();
    const hasty = createFront({ clock: systemClock, logger: silentLogger }, { drainMs: 50 });
    const other = await serve({
      listen: { host: '127.0.0.1', port: 0 },
      api: nothing,
      registry: nothing,
      front: hasty,
      logger: silentLogger,
      closeMs: 100,
    });
    let arrived = 0;
    const stuck = await backend(() => void (arrived += 1));
    await hasty.register(arn, stuck.target);
    await until('healthy', () => hasty.health(arn, stuck.target) === 'healthy');
    const lost = new Promise<string>((resolve) => {
      const asking = httpRequest({ host: '127.0.0.1', port: other.port, headers: { host: HOST } });
      asking.once('error', () => resolve('cut'));
      asking.once('response', (response) => resolve(String(response.statusCode)));
      asking.end();
    });
    await until('it arrived', () => arrived === 1);
    await hasty.deregister(arn, stuck.target);
    expect(await lost).toBe('502');
    await other.close();
  });

  test('joins WebSocket connections and closes them when the target leaves', async () => {
    const socketed = await backend((_, response) => response.end());
    socketed.server.on('upgrade', (request, socket) => {
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${request.headers.upgrade ?? ''}\r\nConnection: Upgrade\r\n\r\n`,
      );
      socket.on('data', (chunk: Buffer) => socket.write(`echo ${chunk.toString()}`));
      socket.on('error', () => socket.destroy()).on('end', () => socket.end());
    });
    await healthy(socketed.target);
    const socket = connect(server.port, '127.0.0.1');
    let heard = '';
    socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
    socket.write(`GET /ws HTTP/1.1\r\nHost: ${HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
    await until('it is upgraded', () => heard.includes('\r\n\r\n'));
    expect(heard).toMatch(/^HTTP\/1\.1 101 /);
    socket.write('hello');
    await until('it echoes', () => heard.endsWith('echo hello'));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await front.deregister(arn, socketed.target);
    await closed;
    const refused = connect(server.port, '127.0.0.1');
    let answer = '';
    refused.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    refused.write('GET / HTTP/1.1\r\nHost: no.main.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    await new Promise((resolve) => refused.once('close', resolve));
    expect(answer).toMatch(/^HTTP\/1\.1 404 /);
  });

  test('knows the address of a service, and its groups by their ARN after a restart', async () => {
    expect(front.urlFor('main', 'web')).toBe(`http://${HOST}:${server.port}`);
    const again = createFront({ clock: systemClock, logger: silentLogger });
    const each = await backend((_, response) => response.end());
    await again.register(arn, each.target);
    await until('healthy', () => again.health(arn, each.target) === 'healthy');
    expect(await again.targetGroupFor({ cluster: 'main', service: 'web', port: 8080 })).toBe(arn);
    again.close();
  });
});
