/** Base images of other registries: a second Wharf registry, and CNCF's, both on loopback. */
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { RemoteImages } from '../../lib/build/index.js';
import { digestOf, parseManifestDocument } from '../../lib/oci/index.js';
import { pushImage, RegistryClient } from '../../lib/registry/client/index.js';
import { requireTools } from '../host-tools.js';
import { type CncfRegistry, startCncfRegistry } from '../protocol/registry/cncf-registry.js';
import { type RunningRegistry, startTestRegistry } from '../protocol/registry/registry-server.js';
import { type BuildFixture, buildFixture, failure, textOf } from './fixture.js';

describe('a base image in another Wharf registry', () => {
  let other: BuildFixture;
  let server: RunningRegistry;
  let home: BuildFixture;
  /** `METHOD path` of what the other registry granted. */
  let requests: string[];

  beforeEach(async () => {
    other = await buildFixture();
    await other.push('team/base:1', { 'etc/': {}, 'etc/name': 'base', 'big/': {}, 'big/file': 'x'.repeat(5000) });
    server = await startTestRegistry(other.store);
    requests = [];
    const counting: typeof fetch = async (input, init) => {
      const url = new URL(input instanceof Request ? input.url : input);
      const response = await fetch(input, init);
      if (response.ok) requests.push(`${init?.method ?? 'GET'} ${url.pathname}`);
      return response;
    };
    home = await buildFixture({
      remote: ({ content, clock }, credentials) => new RemoteImages({ content, clock, credentials, fetch: counting }),
    });
    await home.logins.put(server.host, { username: 'token', password: server.tokens.read });
  });

  afterEach(async () => {
    await home.close();
    await server.close();
    await other.close();
  });

  const blobs = (): string[] => requests.filter((each) => each.startsWith('GET') && each.includes('/blobs/'));

  test('is pulled with the credentials kept for its host, and ends in our registry', async () => {
    const { result, events } = await home.build({ Dockerfile: `FROM ${server.host}/team/base:1\nCOPY a /a\n`, a: 'A' });
    const tree = await home.tree(result.digest);
    expect(await textOf(tree, 'etc/name')).toBe('base');
    expect(await textOf(tree, 'a')).toBe('A');
    const stored = await other.registry.manifest('team/base', { tag: '1' });
    const said = events.flatMap((event) => (event.type === 'message' ? [event.text] : []));
    expect(said).toContain(`FROM ${server.host}/team/base:1 is ${server.host}/team/base:1@${stored?.digest ?? ''}`);
  });

  test('is fetched once: one config, one layer, also for stages side by side and the next build', async () => {
    const from = `${server.host}/team/base:1`;
    const Dockerfile = `FROM ${from} AS one\nCOPY a /a\nFROM ${from} AS two\nCOPY a /b\nFROM scratch\nCOPY --from=one /a /\nCOPY --from=two /b /\nCOPY --from=${from} /etc/name /\n`;
    const { result } = await home.build({ Dockerfile, a: 'A' });
    expect(await textOf(await home.tree(result.digest), 'name')).toBe('base');
    expect(blobs()).toHaveLength(2);
    expect(requests.filter((each) => each.startsWith('GET') && each.includes('/manifests/'))).toHaveLength(1);
    requests.length = 0;
    await home.build({ Dockerfile, a: 'B' });
    expect(blobs()).toEqual([]);
  });

  test('stays at the digest it had when the build began, whatever its tag does', async () => {
    const from = `${server.host}/team/base:1`;
    const before = await other.registry.manifest('team/base', { tag: '1' });
    const Dockerfile = `FROM ${from} AS one\nFROM scratch\nCOPY --from=one /etc/name /one\nCOPY --from=${from} /etc/name /two\n`;
    const first = await home.build({ Dockerfile });
    await other.push('team/base:1', { 'etc/': {}, 'etc/name': 'moved' });
    const pinned = Dockerfile.replaceAll(from, `${server.host}/team/base@${before?.digest ?? ''}`);
    const second = await home.build({ Dockerfile: pinned });
    expect(second.result.digest).toBe(first.result.digest);
    const third = await home.build({ Dockerfile });
    expect(await textOf(await home.tree(third.result.digest), 'two')).toBe('moved');
  });

  test.each([
    ['an unknown tag', '/team/base:9', 'BUILD_BASE_UNKNOWN', /looked for team\/base:9 in 127\.0\.0\.1:\d+$/],
    ['an unknown repository', '/team/nothing:1', 'BUILD_BASE_UNKNOWN', /team\/nothing:1 in 127/],
  ])('says where it looked for %s', async (_what, name, code, message) => {
    const error = await failure(home.build({ Dockerfile: `FROM ${server.host}${name}\n` }));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.details).toMatchObject({ line: 1, column: 6 });
  });

  test('without credentials is refused with the host and what would help', async () => {
    await home.logins.delete(server.host);
    const error = await failure(home.build({ Dockerfile: `FROM ${server.host}/team/base:1\n` }));
    expect(error.code).toMatch(/^REGISTRY_(UNAUTHORIZED|DENIED)$/);
    expect(error.hint).toContain(`keep credentials for ${server.host}`);
    expect(JSON.stringify(error)).not.toContain(server.tokens.read);
  });

  test('whose registry is away is a failure that names it', async () => {
    const port = await freePort();
    const error = await failure(home.build({ Dockerfile: `FROM 127.0.0.1:${port}/team/base\n` }));
    expect(error.code).toBe('REGISTRY_UNREACHABLE');
    expect(error.message).toContain(`127.0.0.1:${port}`);
  });

  test('whose bytes are not those of its digest is refused and not kept', async () => {
    const stored = await other.registry.manifest('team/base', { tag: '1' });
    const document = parseManifestDocument(stored?.bytes ?? Buffer.alloc(0), stored?.mediaType ?? '');
    const layer = document.kind === 'manifest' ? document.manifest.layers[0] : undefined;
    const lying: typeof fetch = async (input, init) => {
      const response = await fetch(input, init);
      const url = input instanceof Request ? input.url : new URL(input).href;
      const isLayer = url.includes(layer?.digest ?? '-') && (init?.method ?? 'GET') === 'GET';
      if (!isLayer || !response.ok) return response;
      const bytes = Buffer.from(await response.arrayBuffer());
      bytes[20] = (bytes[20] ?? 0) ^ 1;
      return new Response(bytes, { status: 200, headers: { 'content-length': String(bytes.length) } });
    };
    const fooled = await buildFixture({
      remote: ({ content, clock }, credentials) => new RemoteImages({ content, clock, credentials, fetch: lying }),
    });
    try {
      await fooled.logins.put(server.host, { username: 'token', password: server.tokens.read });
      const error = await failure(fooled.build({ Dockerfile: `FROM ${server.host}/team/base:1\nCOPY a /\n`, a: '' }));
      expect(error.code).toMatch(/MISMATCH/);
      expect(layer === undefined ? undefined : await fooled.store.content.stat(layer.digest)).toBeUndefined();
    } finally {
      await fooled.close();
    }
  });
});

describe('a base name without a host', () => {
  const hub = (answers: Readonly<Record<string, number>>, asked: string[]): typeof fetch => {
    return async (input) => {
      const url = new URL(input instanceof Request ? input.url : input);
      asked.push(url.origin + url.pathname);
      const status = Object.entries(answers).find(([path]) => url.pathname.includes(path))?.[1] ?? 404;
      return new Response(null, { status });
    };
  };

  test('is looked up at Docker Hub only where the operator allows it, and after our own', async () => {
    for (const allowDockerHub of [false, true]) {
      const asked: string[] = [];
      const fixture = await buildFixture({
        allowDockerHub,
        remote: ({ content, clock }) => new RemoteImages({ content, clock, fetch: hub({}, asked) }),
      });
      try {
        await fixture.push('known:1', { a: 'A' });
        await fixture.build({ Dockerfile: 'FROM known:1\n' });
        expect(asked).toEqual([]);
        const error = await failure(fixture.build({ Dockerfile: 'FROM busybox:1\n' }));
        expect(error.code).toBe('BUILD_BASE_UNKNOWN');
        expect(error.message).toContain('busybox:1 in this registry and library/busybox:1 in this registry');
        expect(error.message.includes('library/busybox:1 in docker.io')).toBe(allowDockerHub);
        expect(asked).toEqual(allowDockerHub ? ['https://registry-1.docker.io/v2/library/busybox/manifests/1'] : []);
      } finally {
        await fixture.close();
      }
    }
  });

  test('that Docker Hub denies is not known, and the error says what it said', async () => {
    const fixture = await buildFixture({
      allowDockerHub: true,
      remote: ({ content, clock }) => new RemoteImages({ content, clock, fetch: hub({ '/v2/': 403 }, []) }),
    });
    try {
      const error = await failure(fixture.build({ Dockerfile: 'FROM nobody/has:this\n' }));
      expect(error.code).toBe('BUILD_BASE_UNKNOWN');
      expect(error.message).toMatch(/nobody\/has:this in docker\.io \(docker\.io answered 403/);
    } finally {
      await fixture.close();
    }
  });

  test('of a public host is never asked for by plain http', async () => {
    const asked: string[] = [];
    const fixture = await buildFixture({
      remote: ({ content, clock }) =>
        new RemoteImages({ content, clock, fetch: hub({}, asked) }, { insecureRegistries: ['registry.example.com'] }),
    });
    try {
      await failure(fixture.build({ Dockerfile: 'FROM ghcr.io/team/app:1\n' }));
      expect(asked).toEqual(['https://ghcr.io/v2/team/app/manifests/1']);
      const error = await failure(fixture.build({ Dockerfile: 'FROM registry.example.com/team/app:1\n' }));
      expect(error.code).toBe('REGISTRY_INSECURE_REFUSED');
    } finally {
      await fixture.close();
    }
  });
});

requireTools('docker-registry', 'htpasswd').describe('a base image in the registry of the CNCF', () => {
  const user = { username: 'ci', password: 'a password' };
  let open: CncfRegistry;
  let closed: CncfRegistry;
  let source: BuildFixture;

  beforeAll(async () => {
    [open, closed] = await Promise.all([startCncfRegistry(), startCncfRegistry(user)]);
    source = await buildFixture();
    await source.push('base:1', { 'etc/': {}, 'etc/name': 'cncf' });
    const { digest } = (await source.registry.manifest('base', { tag: '1' })) ?? { digest: digestOf('') };
    for (const { host } of [open, closed]) {
      const client = new RegistryClient(source.store, { registry: host, insecure: true, credentials: user });
      const to = { repository: 'team/base', tag: '1' };
      await pushImage(
        { client, images: source.registry, content: source.store.content },
        { repository: 'base', digest, to },
      );
    }
  });
  afterAll(async () => {
    await source.close();
    await Promise.all([open.close(), closed.close()]);
  });

  test.each([
    ['open to anyone', () => open],
    ['with a user and a password', () => closed],
  ])('%s, is built on', async (_, registry) => {
    const { host } = registry();
    const empty = await buildFixture({
      remote: ({ content, clock }, credentials) => new RemoteImages({ content, clock, credentials }),
    });
    try {
      if (host === closed.host) {
        const error = await failure(empty.build({ Dockerfile: `FROM ${host}/team/base:1\n` }));
        expect(error).toMatchObject({ code: 'REGISTRY_UNAUTHORIZED', hint: expect.stringContaining('registry login') });
        await empty.logins.put(host, user);
      }
      const { result } = await empty.build({ Dockerfile: `FROM ${host}/team/base:1\nCOPY a /a\n`, a: 'A' });
      expect(await textOf(await empty.tree(result.digest), 'etc/name')).toBe('cncf');
    } finally {
      await empty.close();
    }
  });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
