/** Events in a file and at a webhook: in order, bounded, signed, tried again, and never in the engine's way. */
import { createHmac } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { EventLogFile, EventWebhook } from '../../lib/engine/event-sinks/index.js';
import type { EngineEvent } from '../../lib/engine/index.js';
import { silentLogger } from '../../lib/store/index.js';
import { manualClock } from '../fakes/manual-clock.js';
import { until } from './engine-fixture.js';

const event = (number: number): EngineEvent => ({
  version: '0',
  id: `event-${String(number)}`,
  'detail-type': 'ECS Task State Change',
  source: 'aws.ecs',
  account: '123456789012',
  time: '2026-01-01T00:00:00.000Z',
  region: 'eu-central-1',
  resources: [],
  detail: { version: number },
});

describe('the event log', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wharf-events-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  test('has every event as a line, in order', async () => {
    const path = join(folder, 'events', 'events.jsonl');
    const log = new EventLogFile({ logger: silentLogger }, { path });
    for (let number = 0; number < 100; number += 1) log.take(event(number));
    await log.close();
    const lines = (await readFile(path, 'utf8')).trim().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as EngineEvent).id)).toEqual(
      Array.from({ length: 100 }, (_, number) => `event-${String(number)}`),
    );
  });

  test('is put away when it is large, and the oldest file goes', async () => {
    const path = join(folder, 'events.jsonl');
    const log = new EventLogFile({ logger: silentLogger }, { path, maxBytes: 100, kept: 2 });
    for (let number = 0; number < 6; number += 1) {
      log.take(event(number));
      await log.close();
    }
    expect((await readdir(folder)).sort()).toEqual(['events.jsonl', 'events.jsonl.1', 'events.jsonl.2']);
    expect(await readFile(path, 'utf8')).toContain('event-5');
    expect(await readFile(`${path}.2`, 'utf8')).toContain('event-3');
  });
});

describe('the webhook', () => {
  let server: Server;
  let url: string;
  let answers: number[];
  let got: { readonly headers: IncomingMessage['headers']; readonly body: string }[];

  beforeEach(async () => {
    answers = [];
    got = [];
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        got.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
        response.writeHead(answers.shift() ?? 204).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/hook`;
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  const ids = (): string[] => got.map(({ body }) => (JSON.parse(body) as EngineEvent).id);

  test('gets every event in order, signed over time and body', async () => {
    const clock = manualClock();
    const hook = new EventWebhook({ clock, logger: silentLogger }, { url, secret: 'shared' });
    for (const number of [1, 2, 3]) hook.take(event(number));
    await until('three', () => got.length === 3);
    expect(ids()).toEqual(['event-1', 'event-2', 'event-3']);
    const { headers, body = '' } = got[0] ?? {};
    const timestamp = String(clock.nowMs() / 1000);
    const signature = createHmac('sha256', 'shared').update(`${timestamp}.${body}`).digest('hex');
    expect(headers).toMatchObject({
      'x-wharf-event-id': 'event-1',
      'x-wharf-timestamp': timestamp,
      'x-wharf-signature': `sha256=${signature}`,
    });
    await hook.close();
  });

  test('is tried again with growing waits, and what it refuses is given up', async () => {
    answers = [503, 429, 204, 400, 204];
    const clock = manualClock();
    const hook = new EventWebhook({ clock, logger: silentLogger }, { url, secret: 's', backOffMs: 1000 });
    for (const number of [1, 2, 3]) hook.take(event(number));
    await until('the first try', () => got.length === 1);
    await until('the second', () => (clock.advance(1000), got.length >= 2));
    await until('all', () => (clock.advance(1000), got.length === 5));
    expect(ids()).toEqual(['event-1', 'event-1', 'event-1', 'event-2', 'event-3']);
    await hook.close();
  });

  test('keeps a bounded number of events, the newest ones', async () => {
    answers = [503];
    const clock = manualClock();
    const hook = new EventWebhook({ clock, logger: silentLogger }, { url, secret: 's', queue: 3 });
    hook.take(event(0));
    await until('the first try', () => got.length === 1);
    for (let number = 1; number <= 10; number += 1) hook.take(event(number));
    await until('the rest', () => (clock.advance(60_000), got.length === 5));
    expect(ids()).toEqual(['event-0', 'event-0', 'event-8', 'event-9', 'event-10']);
    await hook.close();
  });

  test('does not keep a close waiting when nobody answers', async () => {
    const hook = new EventWebhook(
      { clock: manualClock(), logger: silentLogger },
      { url: 'http://127.0.0.1:1/', secret: 's' },
    );
    hook.take(event(1));
    await hook.close();
    expect(got).toEqual([]);
  });
});
