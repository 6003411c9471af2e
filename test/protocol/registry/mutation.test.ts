/** Traffic of a client, changed at random: whatever comes in, the registry answers, and never with a failure of its own. */
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { digestOf } from '../../../lib/oci/index.js';
import { bytesOf, imageSet } from './images.js';
import { recordedTraffic, TOKEN } from './recorded-traffic.js';
import { type RunningRegistry, startTestRegistry } from './registry-server.js';
import { openEmbeddedStore, type OpenStore } from './stores.js';

const SEED = Number(process.env['WHARF_TEST_SEED'] ?? Date.now() % 1_000_000);
const MUTANTS = Number(process.env['WHARF_TEST_MUTANTS'] ?? 1200);
const RAW_MUTANTS = Math.ceil(MUTANTS / 4);
/** For a machine that is busy with other suites. */
const MS_EACH = 50;

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
}

/** mulberry32: small, seeded, good enough to choose what to break. */
class Random {
  constructor(private state: number) {}

  below(limit: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'];
const PIECES = [
  '',
  '/',
  '//',
  '..',
  '%2e%2e',
  '%',
  '%00',
  '%ff',
  '%2F',
  '?',
  '&',
  '=',
  ':',
  '@',
  '#',
  ' ',
  '\t',
  'sha256:',
  'sha512:',
  '0',
  '-1',
  '999999999999999999999',
  '0-0',
  '5-1',
  'ü',
  '\u{1F433}',
  'null',
  '{}',
  '[',
  '"',
  'a'.repeat(300),
  '*',
  ',',
  'bytes=',
  'blobs',
  'uploads',
  '_catalog',
  '?n=',
  '?ns=',
  '?ns=docker.io',
  '?last=',
  '?digest=',
  '?mount=',
  '?from=',
  '?digest-algorithm=',
  '?tag=',
];
const HEADER_VALUES: Readonly<Record<string, readonly string[]>> = {
  'content-range': ['0-0', '5-3', 'x', 'bytes 0-4/5', '-', '0-99999999999999', '1e3-2e3'],
  range: ['bytes=0-', 'bytes=-1', 'bytes=9-2', 'bytes=0-0,2-3', 'bytes=99999999999999999999-', 'x=1-2', '='],
  'content-type': ['', 'text/plain', 'application/vnd.oci.image.index.v1+json', ';', 'a'.repeat(500), 'x/y; z="'],
  'content-length': ['0', '1', '99', '-1', 'x', '99999999999999999999'],
  'if-none-match': ['*', '"', 'W/"x", "y"'],
  'if-range': ['"x"', ''],
  authorization: [
    '',
    'Basic',
    'Basic =',
    'Basic OnRva2Vu',
    'Bearer',
    'Bearer a.b.c',
    'Bearer ....',
    'Negotiate x',
    'Bearer ' + 'y'.repeat(3000),
  ],
  accept: ['', '*/*', 'x'],
  host: ['', 'evil/', 'a b', '[::1', 'x:99999', 'example.com'],
};

/** A request that is made of what those before it were answered. */
type Step = (answers: readonly Response[]) => Sent;

const recorded = recordedTraffic();

/** What clients sent, addressed to this registry. */
function replayed(token: string): readonly Step[] {
  return recorded.map(({ method, path, headers, body }) => (answers) => {
    const located = path.replace(
      /^\{(\d+)\}/,
      (_, i: string) => answers[Number(i)]?.headers.get('location') ?? '/v2/lost',
    );
    const bytes = body === undefined ? undefined : Buffer.from(body, 'base64');
    const isForm = bytes !== undefined && path.startsWith('/token');
    return {
      method,
      path: located,
      headers,
      body: isForm ? Buffer.from(bytes.toString().replaceAll(TOKEN, token)) : bytes,
    };
  });
}

/** What clients may send besides, to push and pull one image. */
function traffic(round: number): readonly Step[] {
  const set = imageSet('an image with an empty blob');
  const [image] = set.manifests;
  const blob = bytesOf(`mutation ${round}`, 3000);
  const repository = 'mutation/app';
  const at = (answers: readonly Response[], i: number): string => answers[i]?.headers.get('location') ?? '/v2/lost';
  const sent = (method: string, path: string, body?: Buffer, headers: Readonly<Record<string, string>> = {}): Sent => ({
    method,
    path,
    body,
    headers,
  });
  const digest = digestOf(blob);
  return [
    () => sent('GET', `/token?service=wharf&scope=repository:${repository}:pull,push`),
    () => sent('HEAD', `/v2/${repository}/blobs/${digest}`),
    () => sent('POST', `/v2/${repository}/blobs/uploads/`),
    (answers) => sent('PATCH', at(answers, 2), blob.subarray(0, 1000), { 'content-range': '0-999' }),
    (answers) => sent('GET', at(answers, 2)),
    (answers) =>
      sent('PUT', `${at(answers, 2)}?digest=${digest}`, blob.subarray(1000), { 'content-range': '1000-2999' }),
    () => sent('POST', `/v2/${repository}/blobs/uploads/?mount=${digest}&from=${repository}`),
    ...set.blobs.map(
      (each) => () => sent('POST', `/v2/${repository}/blobs/uploads/?digest=${each.digest}`, each.bytes),
    ),
    () =>
      sent('PUT', `/v2/${repository}/manifests/latest?tag=a&tag=b`, image?.bytes, {
        'content-type': image?.mediaType ?? '',
      }),
    () => sent('GET', `/v2/${repository}/manifests/latest`, undefined, { accept: image?.mediaType ?? '' }),
    () => sent('GET', `/v2/${repository}/blobs/${digest}`, undefined, { range: 'bytes=10-20' }),
    () => sent('GET', `/v2/${repository}/tags/list?n=5&last=a`),
    () => sent('GET', `/v2/${repository}/referrers/${image?.digest}?artifactType=x`),
    () => sent('GET', '/v2/_catalog?n=3'),
    () => sent('DELETE', `/v2/${repository}/manifests/a`),
    () => sent('DELETE', `/v2/${repository}/blobs/${digest}`),
  ];
}

function mutate(given: Sent, random: Random): Sent {
  let sent = given;
  for (let changes = 1 + random.below(3); changes > 0; changes--) sent = mutateOnce(sent, random);
  return sent;
}

function mutateOnce(sent: Sent, random: Random): Sent {
  switch (random.below(5)) {
    case 0:
      return { ...sent, method: random.pick(METHODS) };
    case 1: {
      const name = random.pick(Object.keys(HEADER_VALUES));
      return { ...sent, headers: { ...sent.headers, [name]: random.pick(HEADER_VALUES[name] ?? ['']) } };
    }
    case 2: {
      const body = Buffer.from(sent.body ?? '');
      const at = random.below(body.length + 1);
      const changed = random.pick([
        Buffer.concat([body.subarray(0, at), Buffer.from(random.pick(PIECES)), body.subarray(at)]),
        body.subarray(0, at),
        body.map((byte, i) => (i === at ? byte ^ (1 << random.below(8)) : byte)) as Buffer,
      ]);
      return { ...sent, body: changed };
    }
    default: {
      const at = 1 + random.below(sent.path.length);
      const cut = random.pick([0, 0, 1, 5, 40]);
      return { ...sent, path: sent.path.slice(0, at) + random.pick(PIECES) + sent.path.slice(at + cut) };
    }
  }
}

let store: OpenStore;
let registry: RunningRegistry;

beforeAll(async () => {
  store = await openEmbeddedStore();
  registry = await startTestRegistry(store);
});
afterAll(async () => {
  await registry.close();
  await store.close();
});

function requestOf(sent: Sent): Request | undefined {
  try {
    return new Request(new URL(sent.path, registry.url), {
      method: sent.method,
      headers: { authorization: `Bearer ${registry.tokens.admin}`, ...sent.headers },
      ...(sent.body === undefined || sent.method === 'GET' || sent.method === 'HEAD' ? {} : { body: sent.body }),
    });
  } catch {
    // No client could send it.
    return undefined;
  }
}

describe(`mutated traffic, seed ${SEED}`, () => {
  test('the unchanged traffic succeeds', async () => {
    const answers: Response[] = [];
    for (const step of traffic(-1)) {
      const request = requestOf(step(answers));
      if (request === undefined) throw new Error('not a request');
      answers.push(await registry.fetch(request));
    }
    expect(answers.map(({ status }) => status)).toEqual([
      200, 404, 202, 202, 204, 201, 201, 201, 201, 201, 200, 206, 200, 200, 200, 404, 202,
    ]);
  });

  test('what clients sent when they were recorded is answered as it was then', async () => {
    const answers: Response[] = [];
    for (const step of replayed(registry.tokens.admin)) {
      const request = requestOf(step(answers));
      if (request === undefined) throw new Error('not a request');
      answers.push(await registry.fetch(request));
    }
    expect(answers.map(({ status }) => status)).toEqual(recorded.map(({ status }) => status));
  });

  test(
    `none of ${MUTANTS} changed requests makes the registry fail`,
    async () => {
      const random = new Random(SEED);
      const failures: unknown[] = [];
      const statuses = new Map<number, number>();
      let tried = 0;
      for (let round = 0; tried < MUTANTS; round++) {
        const answers: Response[] = [];
        const isReplay = round % 3 === 0;
        for (const step of isReplay ? replayed(registry.tokens.admin) : traffic(round)) {
          const genuine = step(answers);
          for (const sent of Array.from({ length: isReplay ? 2 : 4 }, () => mutate(genuine, random))) {
            const request = requestOf(sent);
            if (request === undefined) continue;
            const answer = await registry.fetch(request);
            await answer.arrayBuffer();
            tried += 1;
            statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
            if (answer.status >= 500)
              failures.push({ ...sent, body: sent.body?.toString('latin1').slice(0, 200), status: answer.status });
          }
          const request = requestOf(genuine);
          if (request !== undefined) answers.push(await registry.fetch(request));
        }
      }
      expect(failures).toEqual([]);
      // The changes must reach every part: successes, and refusals of many kinds. Of 416 there are six in a thousand.
      const rare = MUTANTS < 5_000 ? [] : [416];
      expect([...statuses.keys()]).toEqual(expect.arrayContaining([200, 201, 202, 400, 401, 404, 405, ...rare]));
      console.info(`mutation.test.ts: ${tried} requests, answered ${JSON.stringify(Object.fromEntries(statuses))}`);
    },
    30_000 + MUTANTS * MS_EACH,
  );

  test(
    `none of ${RAW_MUTANTS} broken HTTP messages makes the server fail or fall`,
    async () => {
      const random = new Random(SEED + 1);
      const steps = traffic(0);
      const failures: string[] = [];
      for (let i = 0; i < RAW_MUTANTS; i++) {
        const text = rawText(random.pick(steps)([]), registry.host, registry.tokens.admin);
        const at = random.below(text.length);
        const broken =
          text.slice(0, at) +
          random.pick([...PIECES, '\r\n', '\r\n\r\n', '\0', '\x7f']) +
          text.slice(at + random.below(3));
        const answer = await exchange(registry.host, broken);
        if (answer.startsWith('HTTP/1.1 5')) failures.push(`${JSON.stringify(broken)} → ${answer.slice(0, 200)}`);
      }
      expect(failures).toEqual([]);
      const alive = await fetch(`${registry.url}/v2/`, {
        headers: { authorization: `Bearer ${registry.tokens.admin}` },
      });
      expect(alive.status).toBe(200);
    },
    30_000 + RAW_MUTANTS * MS_EACH,
  );
});

function rawText(sent: Sent, host: string, token: string): string {
  const headers = {
    host,
    authorization: `Bearer ${token}`,
    connection: 'close',
    ...sent.headers,
    'content-length': String(sent.body?.length ?? 0),
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${sent.method} ${sent.path} HTTP/1.1\r\n${lines.join('')}\r\n${sent.body?.toString('latin1') ?? ''}`;
}

/** Sends the bytes, says no more, and reads what comes until the server closes. */
function exchange(host: string, text: string): Promise<string> {
  return new Promise((resolve) => {
    const [address = '', port] = host.split(':');
    const chunks: Buffer[] = [];
    const socket = connect(Number(port), address, () => socket.end(Buffer.from(text, 'latin1')));
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
  });
}
