/** Caches of the CNCF's registry, open and with a password: what is fetched, how often, and what an outage does. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type Digest, digestOf } from '../../../lib/oci/index.js';
import { CachedImages } from '../../../lib/registry/cache/index.js';
import { RegistryClient } from '../../../lib/registry/client/index.js';
import { verifyRegistry } from '../../../lib/registry/index.js';
import { manualClock, type ManualClock } from '../../fakes/manual-clock.js';
import { requireTools } from '../../host-tools.js';
import { type CncfRegistry, startCncfRegistry } from './cncf-registry.js';
import { bytesOf, imageSet, type TestManifest } from './images.js';
import { type RunningRegistry, startTestRegistry } from './registry-server.js';
import type { OpenStore, StoreFactory } from './stores.js';
import { startUpstreamProxy, type UpstreamProxy } from './upstream-proxy.js';
import { Wire, type WireResponse } from './wire.js';

const user = { username: 'ci', password: 'secret' };
const LAYER = bytesOf('a layer', 3_000_000);
const set = imageSet('an image');
const index = imageSet('an index');

async function* pieces(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 50_000) yield bytes.subarray(at, at + 50_000);
}

async function fill(client: RegistryClient, repository: string, tag: string, of = set): Promise<TestManifest> {
  for (const { bytes } of [...of.blobs, { bytes: LAYER }]) {
    const blob = { digest: digestOf(bytes), sizeBytes: bytes.length, open: () => pieces(bytes) };
    await client.uploadBlob(repository, blob);
  }
  for (const { digest, bytes, mediaType } of of.manifests) {
    await client.putManifest(repository, digest, bytes, mediaType);
  }
  const last = of.manifests.at(-1);
  if (last === undefined) throw new Error('the set has no manifest');
  await client.putManifest(repository, tag, last.bytes, last.mediaType);
  return last;
}

/** @param only names of behaviours; all when absent */
export function pullThrough(where: string, openStore: StoreFactory, only?: readonly string[]): void {
  const left = new Set(only);
  const behaviour = (name: string, body: () => Promise<void>): void => {
    if (only === undefined || left.delete(name)) test(name, body);
  };
  requireTools('docker-registry', 'htpasswd').describe(`a cache of the registry of the CNCF on ${where}`, () => {
    let open: CncfRegistry;
    let closed: CncfRegistry;
    let image: TestManifest;
    let proxy: UpstreamProxy;
    let clock: ManualClock;
    let store: OpenStore;
    let ours: RunningRegistry;
    let wire: Wire;

    const clientOf = (registry: CncfRegistry): RegistryClient =>
      new RegistryClient({ clock }, { registry: registry.host, insecure: true, credentials: user });

    beforeAll(async () => {
      clock = manualClock();
      [open, closed] = await Promise.all([startCncfRegistry(), startCncfRegistry(user)]);
      image = await fill(clientOf(open), 'team/app', 'v1');
      await fill(clientOf(open), 'team/multi', 'v1', index);
      await fill(clientOf(closed), 'team/app', 'v1');
    });
    afterAll(() => Promise.all([open.close(), closed.close()]));

    beforeEach(async () => {
      clock = manualClock();
      proxy = await startUpstreamProxy(open.host);
      store = await openStore({ clock });
      ours = await startTestRegistry(store, {
        upstreams: [
          { prefix: 'hub', registry: proxy.host, tagTtlSeconds: 300 },
          { prefix: 'hub/inner', registry: closed.host, tagTtlSeconds: 300 },
        ],
      });
      wire = new Wire(ours);
    });
    afterEach(async () => {
      await ours.close();
      await store.close();
      await proxy.close();
    });

    const get = (path: string, headers = {}): Promise<WireResponse> => wire.send('GET', `/v2/${path}`, { headers });
    const layer = (repository = 'hub/team/app'): Promise<WireResponse> => get(`${repository}/blobs/${digestOf(LAYER)}`);
    const asked = (what: string): string[] => proxy.seen.filter((each) => each.includes(what));
    const stored = (digest: Digest): Promise<unknown> => store.content.stat(digest);
    /** All bytes that the store has, also those that no record leads to. */
    const objects = async (): Promise<number> => {
      let count = 0;
      for await (const _ of store.content.blobs.list()) count += 1;
      return count;
    };

    behaviour('serves what the upstream has, byte for byte, and then without it', async () => {
      for (const round of ['first', 'second']) {
        if (round === 'second') proxy.failure = { status: 503 };
        const manifest = await get('hub/team/app/manifests/v1');
        expect([round, manifest.status, manifest.bytes.equals(image.bytes)]).toEqual([round, 200, true]);
        expect(manifest.headers.get('docker-content-digest')).toBe(image.digest);
        expect(manifest.headers.get('content-type')).toBe(image.mediaType);
        const blob = await layer();
        expect([blob.status, blob.bytes.equals(LAYER)]).toEqual([200, true]);
        expect(blob.headers.get('content-length')).toBe(String(LAYER.length));
        for (const { digest } of set.blobs) expect((await get(`hub/team/app/blobs/${digest}`)).status).toBe(200);
      }
      expect(asked(`GET /v2/team/app/blobs/${digestOf(LAYER)}`)).toHaveLength(1);
      expect(asked('GET /v2/team/app/manifests')).toHaveLength(1);
      for await (const event of verifyRegistry({ ...store })) expect(event).not.toMatchObject({ type: 'problem' });
    });

    behaviour('serves an index and its images, and what is absent is absent', async () => {
      const top = await get('hub/team/multi/manifests/v1');
      expect(top.status).toBe(200);
      for (const { digest } of index.manifests) {
        expect((await wire.send('HEAD', `/v2/hub/team/multi/manifests/${digest}`)).status).toBe(200);
      }
      for await (const event of verifyRegistry({ ...store })) expect(event).not.toMatchObject({ type: 'problem' });
      expect(await get('hub/team/app/manifests/v9')).toMatchObject({ status: 404, code: 'MANIFEST_UNKNOWN' });
      expect(await get('hub/nothing/manifests/v1')).toMatchObject({ status: 404 });
      expect(await get(`hub/team/app/blobs/${digestOf('absent')}`)).toMatchObject({
        status: 404,
        code: 'BLOB_UNKNOWN',
      });
      expect(await get('elsewhere/team/app/manifests/v1')).toMatchObject({ status: 404 });
    });

    behaviour('asks for a blob once, however many want it at once', async () => {
      let release = (): void => {};
      proxy.gate = new Promise((resolve) => (release = resolve));
      const pulls = Array.from({ length: 8 }, () => layer());
      const late = wire.send('GET', `/v2/hub/team/app/blobs/${digestOf(LAYER)}`, { headers: { range: 'bytes=10-19' } });
      const asking = async (): Promise<boolean> => asked(`GET /v2/team/app/blobs/`).length > 0;
      while (!(await asking())) await new Promise((resolve) => setTimeout(resolve, 5));
      release();
      const answers = await Promise.all(pulls);
      expect(answers.map(({ status, bytes }) => [status, bytes.equals(LAYER)])).toEqual(pulls.map(() => [200, true]));
      expect([(await late).status, (await late).bytes.equals(LAYER.subarray(10, 20))]).toEqual([206, true]);
      expect(asked('/blobs/')).toHaveLength(1);
      expect(await objects()).toBe(1);
    });

    behaviour('gives bytes to the client while they arrive, before they are stored', async () => {
      let release = (): void => {};
      proxy.gate = new Promise((resolve) => (release = resolve));
      const response = await fetch(`${ours.url}/v2/hub/team/app/blobs/${digestOf(LAYER)}`, {
        headers: { authorization: `Bearer ${ours.tokens.admin}` },
      });
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      const first = await reader.read();
      expect(first.value?.length).toBeGreaterThan(0);
      expect(await stored(digestOf(LAYER))).toBeUndefined();
      // A client that goes away leaves the blob to arrive.
      await reader.cancel();
      release();
      while ((await stored(digestOf(LAYER))) === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
      proxy.failure = { status: 503 };
      while ((await layer()).status !== 200) await new Promise((resolve) => setTimeout(resolve, 5));
    });

    behaviour(
      'keeps nothing of a blob that broke off or is not what its digest says, and gets it the next time',
      async () => {
        proxy.cutBlobsAfter = 1_000_000;
        await expect(layer()).rejects.toThrow();
        proxy.cutBlobsAfter = undefined;
        proxy.corruptsBlobs = true;
        await expect(layer()).rejects.toThrow();
        proxy.corruptsBlobs = false;
        expect([await stored(digestOf(LAYER)), await objects()]).toEqual([undefined, 0]);
        expect((await layer()).bytes.equals(LAYER)).toBe(true);
      },
    );

    behaviour(
      'a killed upstream breaks the pull off and leaves nothing; when it is back, the same pull succeeds',
      async () => {
        proxy.gate = new Promise(() => {});
        const pull = layer();
        // What it is refused with does not matter here, only that it is.
        const refused = expect(pull).rejects.toThrow();
        while (asked('/blobs/').length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
        await open.kill();
        await proxy.close();
        await refused;
        expect([await stored(digestOf(LAYER)), await objects()]).toEqual([undefined, 0]);
        expect(await layer()).toMatchObject({ status: 503, code: 'UNAVAILABLE' });
        await open.start();
        proxy = await startUpstreamProxy(open.host);
        await ours.upstreams.put({ prefix: 'hub', registry: proxy.host, tagTtlSeconds: 300 });
        expect((await layer()).bytes.equals(LAYER)).toBe(true);
      },
    );

    behaviour('a tag is looked up again when its time is over or a client insists, and not before', async () => {
      const client = clientOf(open);
      await fill(client, 'team/moving', 'latest');
      const digestNow = async (headers = {}): Promise<string | null> =>
        (await get('hub/team/moving/manifests/latest', headers)).headers.get('docker-content-digest');
      expect(await digestNow()).toBe(image.digest);
      const moved = await fill(client, 'team/moving', 'latest', imageSet('an uncompressed image'));
      expect(await digestNow()).toBe(image.digest);
      expect(asked('team/moving')).toHaveLength(2);
      expect(await digestNow({ 'cache-control': 'no-cache' })).toBe(moved.digest);
      await client.putManifest('team/moving', 'latest', image.bytes, image.mediaType);
      clock.advance(299_000);
      expect(await digestNow()).toBe(moved.digest);
      clock.advance(2_000);
      expect(await digestNow()).toBe(image.digest);
      expect((await ours.registry.tagList.history('hub/team/moving', 'latest')).map(({ digest }) => digest)).toEqual([
        image.digest,
        moved.digest,
        image.digest,
      ]);
    });

    for (const status of [500, 401, 429]) {
      behaviour(`while the upstream answers ${status} a tag is served as it was last seen`, async () => {
        await get('hub/team/app/manifests/v1');
        clock.advance(3_600_000);
        proxy.failure = { status, headers: { 'retry-after': '120' } };
        expect((await get('hub/team/app/manifests/v1')).status).toBe(200);
        proxy.failure = undefined;
        clock.advance(121_000);
        expect((await get('hub/team/app/manifests/v1')).status).toBe(200);
      });
    }

    behaviour(
      'whoever may not pull is refused before the upstream is asked, the same whether it has it or not',
      async () => {
        const { secret } = await ours.robots.create('foreign', {
          grants: [{ repositories: 'elsewhere/*', actions: ['pull'] }],
        });
        for (const authorization of [null, `Bearer ${secret}`]) {
          const there = await wire.send('GET', '/v2/hub/team/app/manifests/v1', { authorization });
          const absent = await wire.send('GET', '/v2/hub/team/app/manifests/v9', { authorization });
          expect([there.status, there.bytes.toString()]).toEqual([absent.status, absent.bytes.toString()]);
          expect(there.status).toBe(authorization === null ? 401 : 403);
        }
        expect(proxy.seen).toEqual([]);
      },
    );

    behaviour('says whether a tag was looked up or is only what was last seen', async () => {
      const look = () => ours.cache.ensureManifest('hub/team/app', { tag: 'v1' }, { refresh: true });
      expect(await look()).toBe('current');
      for (const status of [503, 401]) {
        proxy.failure = { status };
        expect([status, await look()]).toEqual([status, 'stale']);
        proxy.failure = undefined;
        clock.advance(60_000);
        expect(await look()).toBe('current');
      }
    });

    behaviour(
      'a rate limit is passed on to who asks for something new, and its upstream left alone until it is over',
      async () => {
        proxy.failure = { status: 429, headers: { 'retry-after': '90' } };
        const refused = await get('hub/team/app/manifests/v1');
        expect([refused.status, refused.code, refused.headers.get('retry-after')]).toEqual([
          429,
          'TOOMANYREQUESTS',
          '90',
        ]);
        proxy.failure = undefined;
        clock.advance(30_000);
        expect((await layer()).headers.get('retry-after')).toBe('60');
        expect(proxy.seen).toEqual([]);
        clock.advance(61_000);
        expect((await get('hub/team/app/manifests/v1')).status).toBe(200);
      },
    );

    behaviour('a tag that is gone upstream is gone here, and can be brought back', async () => {
      const client = clientOf(open);
      await fill(client, 'team/gone', 'v1');
      await get('hub/team/gone/manifests/v1');
      const head = await fetch(`${open.url}/v2/team/gone/manifests/${image.digest}`, { method: 'DELETE' });
      expect(head.status).toBe(202);
      expect((await get('hub/team/gone/manifests/v1', { 'cache-control': 'no-cache' })).status).toBe(404);
      expect(await ours.registry.tagList.resolve('hub/team/gone', 'v1')).toBeUndefined();
      expect(await ours.registry.undelete('hub/team/gone', 'v1')).toBe(image.digest);
    });

    behaviour('is found by the host and the name that an image has at its source', async () => {
      const ns = `ns=${encodeURIComponent(proxy.host)}`;
      const manifest = await get(`team/app/manifests/v1?${ns}`);
      expect([manifest.status, manifest.bytes.equals(image.bytes)]).toEqual([200, true]);
      expect(manifest.headers.get('oci-namespace')).toBe(proxy.host);
      const blob = await get(`team/app/blobs/${digestOf(LAYER)}?${ns}`);
      expect([blob.status, blob.bytes.equals(LAYER)]).toEqual([200, true]);
      expect((await ours.registry.tags('hub/team/app'))?.map(({ tag }) => tag)).toEqual(['v1']);
      // Rights are those of the repository that caches it.
      const nobody = await wire.send('GET', `/v2/team/app/manifests/v1?${ns}`, { authorization: null });
      expect(nobody.headers.get('www-authenticate')).toContain('scope="repository:hub/team/app:pull"');
      await ours.registry.publicRepositories.add('team/*');
      expect((await wire.send('GET', `/v2/team/app/manifests/v1?${ns}`, { authorization: null })).status).toBe(401);
      // One that is no upstream, or no host, is passed over; who pushes names none.
      for (const other of ['ghcr.io', '', 'a b', 'a:99999', 'x'.repeat(300)]) {
        const answer = await get(`team/app/manifests/v1?ns=${encodeURIComponent(other)}`);
        expect([other, answer.status, answer.headers.get('oci-namespace')]).toEqual([other, 404, null]);
      }
      expect((await wire.send('POST', `/v2/team/app/blobs/uploads/?${ns}`)).status).toBe(202);
    });

    behaviour('leads from page to page by the name at the source, too', async () => {
      const ns = `ns=${encodeURIComponent(proxy.host)}`;
      for (const tag of ['v1', 'v2', 'v3']) {
        await fill(clientOf(open), 'team/paged', tag);
        await get(`hub/team/paged/manifests/${tag}`);
      }
      const seen: string[] = [];
      let path: string | undefined = `/v2/team/paged/tags/list?n=1&${ns}`;
      while (path !== undefined) {
        const answer: WireResponse = await wire.send('GET', path);
        seen.push(...(JSON.parse(answer.bytes.toString()) as { tags: string[] }).tags);
        path = /^<([^>]*)>/.exec(answer.headers.get('link') ?? '')?.[1];
      }
      expect(seen).toEqual(['v1', 'v2', 'v3']);
    });

    behaviour('nobody pushes to a cache, and the longest prefix decides', async () => {
      expect(await wire.send('POST', '/v2/hub/team/app/blobs/uploads/')).toMatchObject({ status: 405 });
      expect(await wire.put('hub/team/app', 'v2', image)).toMatchObject({ status: 405, code: 'UNSUPPORTED' });
      const denied = await get('hub/inner/team/app/manifests/v1');
      expect([denied.status, denied.bytes.toString()]).toEqual([404, expect.stringContaining('registry login')]);
      expect(denied.headers.get('www-authenticate')).toBeNull();
      await ours.logins.put(closed.host, user);
      expect((await get('hub/inner/team/app/manifests/v1')).status).toBe(200);
      expect((await layer('hub/inner/team/app')).bytes.equals(LAYER)).toBe(true);
    });

    behaviour(
      'a blob that another repository has is read only where the upstream has it too, and not fetched again',
      async () => {
        await wire.push('own/app', LAYER);
        const secret = bytesOf('not upstream', 1000);
        await wire.push('own/app', secret);
        expect((await get(`hub/team/app/blobs/${digestOf(secret)}`)).status).toBe(404);
        expect((await layer()).bytes.equals(LAYER)).toBe(true);
        expect(asked('GET /v2/team/app/blobs/')).toEqual([]);
      },
    );

    behaviour('builder and engine get an image of a cache with all its layers', async () => {
      const images = new CachedImages(ours.registry, ours.cache);
      const manifest = await images.manifest('hub/team/app', { tag: 'v1' });
      expect(manifest?.digest).toBe(image.digest);
      for (const { digest } of set.blobs) expect(await stored(digest)).toBeDefined();
      const put = images.putManifest('hub/team/app', image.bytes, image.mediaType, ['mine']);
      await expect(put).rejects.toMatchObject({ code: 'REPOSITORY_IS_CACHE' });
    });
  });
  if (left.size > 0) throw new Error(`no such behaviour: ${[...left].join('; ')}`);
}
