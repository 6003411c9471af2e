import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { digestOf } from '../../lib/oci/index.js';
import {
  endpointOf,
  isPrivateHost,
  RegistryClient,
  type RegistryCredentials,
} from '../../lib/registry/client/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
import { manualClock } from '../fakes/manual-clock.js';
import { bytesOf, imageSet } from '../protocol/registry/images.js';
import { type RunningRegistry, startTestRegistry } from '../protocol/registry/registry-server.js';

let store: TestStore;
let registry: RunningRegistry;

beforeAll(async () => {
  store = await createTestStore();
  registry = await startTestRegistry(store, { publicRepositories: ['open/*'] });
});
afterAll(async () => {
  await registry.close();
  await store.close();
});

const clientOf = (credentials?: RegistryCredentials, host = registry.host): RegistryClient =>
  new RegistryClient(
    { clock: systemClock },
    { registry: host, insecure: true, ...(credentials === undefined ? {} : { credentials }) },
  );
const admin = (): RegistryClient => clientOf({ username: 'wharf', password: registry.tokens.admin });

async function* pieces(bytes: Buffer, size = 10_000): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
const upload = (
  bytes: Buffer,
): { digest: ReturnType<typeof digestOf>; sizeBytes: number; open(): AsyncGenerator<Buffer> } => ({
  digest: digestOf(bytes),
  sizeBytes: bytes.length,
  open: () => pieces(bytes),
});
async function read(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe('against our own registry', () => {
  test.each([
    ['in one stream', {}],
    ['in chunks', { chunkBytes: 30_000 }],
    ['in chunks larger than the blob', { chunkBytes: 10_000_000 }],
  ])('an image is sent %s and comes back the same', async (how, options) => {
    const client = admin();
    const repository = `client/${how.replaceAll(' ', '-')}`;
    const set = imageSet('an image');
    const layer = bytesOf(how, 123_456);
    expect(await client.uploadBlob(repository, upload(layer), options)).toBe('uploaded');
    expect(await client.uploadBlob(repository, upload(layer), options)).toBe('existed');
    for (const { bytes } of set.blobs) await client.uploadBlob(repository, upload(bytes), options);
    const [image] = set.manifests;
    if (image === undefined) throw new Error('the set has no manifest');
    const put = await client.putManifest(repository, 'v1', image.bytes, image.mediaType);
    expect(put).toEqual({ digest: image.digest, listsReferrers: false });
    const { digest, mediaType, bytes } = image;
    expect(await client.getManifest(repository, 'v1')).toEqual({ digest, mediaType, bytes });
    expect(await client.getManifest(repository, digest)).toEqual({ digest, mediaType, bytes });
    expect(await client.headManifest(repository, 'v1')).toEqual({ digest, mediaType, size: bytes.length });
    const blob = await client.getBlob(repository, digestOf(layer));
    expect(blob?.sizeBytes).toBe(layer.length);
    expect(blob === undefined ? undefined : (await read(blob.stream)).equals(layer)).toBe(true);
    expect(await client.headBlob(repository, digestOf(layer))).toEqual({ sizeBytes: layer.length });
  });

  test('an empty blob is sent in both ways', async () => {
    for (const [i, options] of [{}, { chunkBytes: 5 }].entries()) {
      expect(await admin().uploadBlob(`client/empty${i}`, upload(Buffer.alloc(0)), options)).toBe('uploaded');
    }
  });

  test('a blob of another repository is mounted, and sent when it is not there', async () => {
    const client = admin();
    const bytes = bytesOf('mounted', 1000);
    await client.uploadBlob('client/source', upload(bytes));
    expect(await client.uploadBlob('client/target', upload(bytes), { mountFrom: 'client/source' })).toBe('mounted');
    const other = bytesOf('not there', 1000);
    expect(await client.uploadBlob('client/target', upload(other), { mountFrom: 'client/source' })).toBe('uploaded');
  });

  test('what is absent is undefined', async () => {
    const client = admin();
    expect(await client.getManifest('client/none', 'v1')).toBeUndefined();
    expect(await client.headManifest('client/none', 'v1')).toBeUndefined();
    expect(await client.getBlob('client/none', digestOf('x'))).toBeUndefined();
    expect(await client.headBlob('client/none', digestOf('x'))).toBeUndefined();
  });

  test('anonymous access reads what is public and is refused elsewhere, naming host, deed and answer', async () => {
    await admin().uploadBlob('open/app', upload(Buffer.from('public')));
    const nobody = clientOf();
    expect(await nobody.headBlob('open/app', digestOf('public'))).toEqual({ sizeBytes: 6 });
    await expect(nobody.headBlob('client/source', digestOf('x'))).rejects.toMatchObject({
      code: 'REGISTRY_UNAUTHORIZED',
    });
    await expect(nobody.getManifest('client/source', 'v1')).rejects.toMatchObject({
      code: 'REGISTRY_UNAUTHORIZED',
      message: expect.stringMatching(
        /^127\.0\.0\.1:\d+ answered 401 to get manifest client\/source:v1: UNAUTHORIZED: /,
      ),
    });
  });

  test('wrong credentials are refused by the token service, and are not in the message', async () => {
    const client = clientOf({ username: 'wharf', password: 'wrong-password-1234' });
    const failure = await client.ping().catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: 'REGISTRY_UNAUTHORIZED',
      details: { status: 401, registryCode: 'UNAUTHORIZED' },
    });
    expect(String(failure)).not.toContain('wrong-password-1234');
  });

  test('an identity token is exchanged for access', async () => {
    const client = clientOf({ identityToken: registry.tokens.read });
    await client.ping();
    expect(await client.headBlob('open/app', digestOf('public'))).toEqual({ sizeBytes: 6 });
  });

  test('a refusal carries the code the registry gave', async () => {
    await expect(admin().putManifest('client/bad', 'v1', Buffer.from('{}'), 'text/plain')).rejects.toMatchObject({
      code: 'REGISTRY_REFUSED',
      details: { registryCode: 'MANIFEST_INVALID', status: 400 },
    });
  });
});

describe('against registries that behave differently', () => {
  interface Seen {
    readonly method: string;
    readonly url: string;
    readonly authorization: string | undefined;
  }
  const servers: Server[] = [];
  const serve = async (
    handler: (request: IncomingMessage, response: ServerResponse) => void,
  ): Promise<{ host: string; seen: Seen[] }> => {
    const seen: Seen[] = [];
    const server = createServer((request, response) => {
      seen.push({ method: request.method ?? '', url: request.url ?? '', authorization: request.headers.authorization });
      request.resume().on('end', () => handler(request, response));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    servers.push(server);
    return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
  };
  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
  const credentials = { username: 'AWS', password: 'secret' };
  const body = Buffer.from('content');

  test('Basic is shown once the registry asks for it, and kept', async () => {
    const { host, seen } = await serve((request, response) => {
      if (request.headers.authorization === undefined) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      } else response.end('{}');
    });
    const client = clientOf(credentials, host);
    await client.ping();
    await client.ping();
    const shown = `Basic ${Buffer.from('AWS:secret').toString('base64')}`;
    expect(seen.map(({ authorization }) => authorization)).toEqual([undefined, shown, shown]);
  });

  test('requests side by side that are all refused at first all get in', async () => {
    let waiting = 0;
    let release = (): void => {};
    const allHere = new Promise<void>((resolve) => (release = resolve));
    const { host } = await serve((request, response) => {
      if (request.headers.authorization !== undefined) response.end('{}');
      else {
        if (++waiting === 3) release();
        void allHere.then(() => response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end());
      }
    });
    const client = clientOf(credentials, host);
    await Promise.all([client.ping(), client.ping(), client.ping()]);
    expect(waiting).toBe(3);
  });

  test('wrong Basic credentials fail after one try', async () => {
    const { host, seen } = await serve((_, response) => {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    });
    await expect(clientOf(credentials, host).ping()).rejects.toMatchObject({ code: 'REGISTRY_UNAUTHORIZED' });
    expect(seen).toHaveLength(2);
  });

  test('credentials do not follow a redirect to another host, and the bytes are checked there too', async () => {
    const storage = await serve((_, response) => response.writeHead(200, { 'content-length': body.length }).end(body));
    const front = await serve((request, response) => {
      if (request.headers.authorization === undefined) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      } else response.writeHead(307, { location: `http://${storage.host}/bytes?signature=1` }).end();
    });
    const client = clientOf(credentials, front.host);
    const blob = await client.getBlob('a/b', digestOf(body));
    expect(blob === undefined ? undefined : (await read(blob.stream)).toString()).toBe('content');
    expect(storage.seen).toEqual([{ method: 'GET', url: '/bytes?signature=1', authorization: undefined }]);
    const wrong = await client.getBlob('a/b', digestOf('other'));
    await expect(read(wrong?.stream ?? pieces(body))).rejects.toMatchObject({ code: 'REGISTRY_CONTENT_MISMATCH' });
  });

  test('a redirect in circles, to nowhere or away from where http is allowed is an error', async () => {
    for (const location of ['/v2/', 'http://[', 'http://example.com/x', 'ftp://127.0.0.1/x']) {
      const { host } = await serve((_, response) => response.writeHead(302, { location }).end());
      await expect(clientOf(undefined, host).ping()).rejects.toMatchObject({ code: 'REGISTRY_PROTOCOL' });
    }
  });

  test('an upload goes on where a redirect leads, with its bytes and without the credentials', async () => {
    const received: string[] = [];
    const storage = await serve((request, response) => {
      received.push(`${request.method} ${request.url}`);
      if (request.method === 'POST') response.writeHead(202, { location: 'session?id=1' }).end();
      else response.writeHead(201).end();
    });
    const front = await serve((request, response) => {
      if (request.method === 'HEAD') response.writeHead(404).end();
      else if (request.headers.authorization === undefined) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      } else response.writeHead(307, { location: `http://${storage.host}${request.url}` }).end();
    });
    const digest = digestOf(body, 'sha512');
    const blob = { digest, sizeBytes: body.length, open: () => pieces(body) };
    expect(await clientOf(credentials, front.host).uploadBlob('a/b', blob)).toBe('uploaded');
    expect(received).toEqual([
      'POST /v2/a/b/blobs/uploads/?digest-algorithm=sha512',
      `PUT /v2/a/b/blobs/uploads/session?id=1&digest=${encodeURIComponent(digest)}`,
    ]);
    expect(storage.seen.map(({ authorization }) => authorization)).toEqual([undefined, undefined]);
    const moved = await serve((request, response) => {
      if (request.url?.startsWith('/there') === true) response.writeHead(201).end();
      else response.writeHead(308, { location: '/there' }).end();
    });
    await clientOf(undefined, moved.host).putManifest('a/b', 'v1', body, 'text/plain');
    expect(moved.seen.map(({ method, url }) => `${method} ${url}`)).toEqual(['PUT /v2/a/b/manifests/v1', 'PUT /there']);
    const unclear = await serve((_, response) => response.writeHead(302, { location: '/elsewhere' }).end());
    await expect(clientOf(undefined, unclear.host).putManifest('a/b', 'v1', body, 'text/plain')).rejects.toThrow(
      /redirects an upload with 302, not 307 or 308/,
    );
  });

  test('a token service over plain http elsewhere is not spoken to', async () => {
    const { host } = await serve((_, response) => {
      response.writeHead(401, { 'www-authenticate': 'Bearer realm="http://example.com/token"' }).end();
    });
    await expect(clientOf(credentials, host).ping()).rejects.toMatchObject({ code: 'REGISTRY_PROTOCOL' });
  });

  test("a Location's own query is kept as it is, and the digest is added to it", async () => {
    const { host, seen } = await serve((request, response) => {
      if (request.method === 'HEAD') response.writeHead(404).end();
      else if (request.method === 'POST') response.writeHead(202, { location: '/up/1?sig=a%2Fb+c' }).end();
      else response.writeHead(201).end();
    });
    await clientOf(undefined, host).uploadBlob('a/b', upload(body));
    expect(seen.at(-1)).toMatchObject({
      method: 'PUT',
      url: `/up/1?sig=a%2Fb+c&digest=${encodeURIComponent(digestOf(body))}`,
    });
  });

  test('a token that expires during a push is renewed, and the bytes are sent again', async () => {
    let puts = 0;
    const { host, seen } = await serve((request, response) => {
      const me = `http://${request.headers.host}`;
      if (request.url?.startsWith('/token'))
        response.end(JSON.stringify({ token: `t${seen.length}`, expires_in: 300 }));
      else if (request.headers.authorization === undefined || (request.method === 'PUT' && puts++ === 0)) {
        response.writeHead(401, { 'www-authenticate': `Bearer realm="${me}/token",service="s"` }).end();
      } else if (request.method === 'HEAD') response.writeHead(404).end();
      else if (request.method === 'POST') response.writeHead(202, { location: '/up/1' }).end();
      else response.writeHead(201).end();
    });
    expect(await clientOf(undefined, host).uploadBlob('a/b', upload(body))).toBe('uploaded');
    expect(puts).toBe(2);
    expect(seen.filter(({ url }) => url.startsWith('/token'))[0]?.url).toContain(
      'scope=repository%3Aa%2Fb%3Apull%2Cpush',
    );
  });

  test('a wait that a rate limit asks for is made, within bounds, and the request goes out again', async () => {
    const clock = manualClock();
    const slept: number[] = [];
    const limits = ['2', new Date(clock.nowMs() + 5000).toUTCString(), undefined];
    const { host, seen } = await serve((_, response) => {
      if (limits.length === 0) response.end('{}');
      else {
        const after = limits.shift();
        response.writeHead(429, after === undefined ? {} : { 'retry-after': after }).end('slow down');
      }
    });
    const sleep = async (ms: number): Promise<void> => {
      slept.push(ms);
      clock.advance(ms);
    };
    const client = new RegistryClient(
      { clock: { ...clock, sleep } },
      { registry: host, insecure: true, rateLimitWaitMs: 10_000 },
    );
    await client.ping();
    // A date, and nothing, are read as well: 3 s are left of the 5 after the first wait.
    expect(slept).toEqual([2000, 3000, 1000]);
    expect(seen).toHaveLength(4);
  });

  test('a wait out of bounds is not made: 429 says how long; 503 may be tried again; no answer names the host', async () => {
    const limited = await serve((_, response) => response.writeHead(429, { 'retry-after': '31' }).end('slow down'));
    await expect(clientOf(undefined, limited.host).ping()).rejects.toMatchObject({
      code: 'REGISTRY_RATE_LIMITED',
      retryable: true,
      details: { retryAfterSeconds: 31 },
    });
    expect(limited.seen).toHaveLength(1);
    const down = await serve((_, response) => response.writeHead(503).end());
    await expect(clientOf(undefined, down.host).ping()).rejects.toMatchObject({
      code: 'REGISTRY_FAILED',
      retryable: true,
    });
    await expect(clientOf(undefined, '127.0.0.1:1').ping()).rejects.toMatchObject({
      code: 'REGISTRY_UNREACHABLE',
      message: expect.stringContaining('127.0.0.1:1'),
    });
  });

  test('the flow of Docker Hub: a token service on another host, with Basic there and a bearer token here', async () => {
    const service = await serve((request, response) => {
      const token = request.headers.authorization === undefined ? 'anonymous' : 'known';
      response.end(JSON.stringify({ token, access_token: token, expires_in: 300, issued_at: '2026-01-01T00:00:00Z' }));
    });
    const hub = await serve((request, response) => {
      const realm = `realm="http://${service.host}/token",service="registry.docker.io"`;
      const scope = 'scope="repository:library/busybox:pull"';
      if (request.headers.authorization !== undefined) response.end('{}');
      else response.writeHead(401, { 'www-authenticate': `Bearer ${realm},${scope}` }).end();
    });
    for (const [login, token] of [
      [undefined, 'anonymous'],
      [{ username: 'me', password: 'pass' }, 'known'],
    ] as const) {
      await clientOf(login, hub.host).getManifest('library/busybox', 'latest');
      expect(hub.seen.at(-1)?.authorization).toBe(`Bearer ${token}`);
      expect(service.seen.at(-1)?.url).toBe(
        '/token?service=registry.docker.io&scope=repository%3Alibrary%2Fbusybox%3Apull',
      );
    }
    expect(service.seen.map(({ authorization }) => authorization)).toEqual([
      undefined,
      `Basic ${Buffer.from('me:pass').toString('base64')}`,
    ]);
  });

  test('a registry that turns from Basic to tokens is followed', async () => {
    let takes = 'Basic realm="x"';
    const other = await serve((request, response) => {
      const shown = request.headers.authorization;
      if (request.url?.startsWith('/token')) response.end(JSON.stringify({ token: 'a-token' }));
      else if (shown?.startsWith(takes.slice(0, 5)) === true) response.end('{}');
      else response.writeHead(401, { 'www-authenticate': takes }).end();
    });
    const client = clientOf({ username: 'me', password: 'pass' }, other.host);
    await client.getManifest('a/b', 'latest');
    expect(other.seen.at(-1)?.authorization).toMatch(/^Basic /);
    takes = `Bearer realm="http://${other.host}/token"`;
    await client.getManifest('a/b', 'latest');
    expect(other.seen.at(-1)?.authorization).toBe('Bearer a-token');
  });

  test('a manifest that is not what its digest says is refused', async () => {
    const { host } = await serve((_, response) => response.end('{}'));
    await expect(clientOf(undefined, host).getManifest('a/b', digestOf('other'))).rejects.toMatchObject({
      code: 'REGISTRY_CONTENT_MISMATCH',
    });
  });
});

describe('endpoints', () => {
  test.each([
    ['localhost', true],
    ['registry', true],
    ['127.0.0.1', true],
    ['10.2.3.4', true],
    ['172.31.0.1', true],
    ['[::1]', true],
    ['[fd00::1]', true],
    ['a.localhost', true],
    ['172.32.0.1', false],
    ['8.8.8.8', false],
    ['example.com', false],
    ['127.0.0.1.example.com', false],
    ['[2001:db8::1]', false],
  ])('%s is private: %s', (host, expected) => {
    expect(isPrivateHost(host)).toBe(expected);
  });

  test('http is refused to public names even when asked for', () => {
    expect(() => endpointOf('example.com', true)).toThrow(
      expect.objectContaining({ code: 'REGISTRY_INSECURE_REFUSED' }),
    );
    expect(endpointOf('127.0.0.1:5000', true).origin).toBe('http://127.0.0.1:5000');
    expect(endpointOf('127.0.0.1:5000').origin).toBe('https://127.0.0.1:5000');
    expect(endpointOf('docker.io').origin).toBe('https://registry-1.docker.io');
  });

  test.each(['', 'a b', 'a/b', 'http://x', 'user@host', 'x?y', 'x#y', 'host:port', 'host:99999'])(
    '%j is no registry',
    (name) => {
      expect(() => endpointOf(name)).toThrow(expect.objectContaining({ code: 'REGISTRY_NAME_INVALID' }));
    },
  );
});
