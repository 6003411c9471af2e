/** Single behaviours of the protocol that clients depend on, and that registries most often get wrong. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { digestOf, MediaType } from '../../../lib/oci/index.js';
import { imageSet, SetBuilder } from './images.js';
import { type RunningRegistry, startTestRegistry } from './registry-server.js';
import type { OpenStore, StoreFactory } from './stores.js';
import { uploadBehaviours } from './upload-behaviours.js';
import { Wire, type WireResponse } from './wire.js';

export function behaviours(openStore: StoreFactory): void {
  let store: OpenStore;
  let registry: RunningRegistry;
  let wire: Wire;

  beforeAll(async () => {
    store = await openStore();
    registry = await startTestRegistry(store);
    wire = new Wire(registry);
  });
  afterAll(async () => {
    await registry.close();
    await store.close();
  });

  const ten = Buffer.from('0123456789');
  uploadBehaviours({
    get wire() {
      return wire;
    },
  });

  describe('reads', () => {
    const digest = digestOf(ten);
    const path = `/v2/reads/blobs/${digest}`;
    beforeAll(async () => {
      await wire.push('reads', ten);
    });
    const range = (value: string, headers = {}): Promise<WireResponse> =>
      wire.send('GET', path, { headers: { range: value, ...headers } });

    test.each([
      ['bytes=0-0', '0', 'bytes 0-0/10'],
      ['bytes=2-5', '2345', 'bytes 2-5/10'],
      ['bytes=7-', '789', 'bytes 7-9/10'],
      ['bytes=-3', '789', 'bytes 7-9/10'],
      ['bytes=-100', '0123456789', 'bytes 0-9/10'],
      ['bytes=5-100', '56789', 'bytes 5-9/10'],
    ])('%s is answered with that part', async (value, text, contentRange) => {
      const answer = await range(value);
      expect([answer.status, answer.bytes.toString()]).toEqual([206, text]);
      expect(answer.headers.get('content-range')).toBe(contentRange);
      expect(answer.headers.get('content-length')).toBe(String(text.length));
      expect(answer.headers.get('docker-content-digest')).toBe(digest);
    });

    test.each(['bytes=10-', 'bytes=500-0', 'bytes=11-12', 'bytes=-0'])('%s is 416', async (value) => {
      const answer = await range(value);
      expect([answer.status, answer.headers.get('content-range')]).toEqual([416, 'bytes */10']);
    });

    test.each(['bytes=0-1,4-5', 'lines=1-2', 'bytes', 'bytes=a-b', 'bytes=-'])(
      '%s is answered with the whole',
      async (value) => {
        const answer = await range(value);
        expect([answer.status, answer.bytes.toString()]).toEqual([200, '0123456789']);
      },
    );

    test('a range for another version of the content is answered with the whole', async () => {
      expect((await range('bytes=2-5', { 'if-range': '"other"' })).status).toBe(200);
      expect((await range('bytes=2-5', { 'if-range': `"${digest}"` })).status).toBe(206);
    });

    test('a client that has the content is told so', async () => {
      const answer = await wire.send('GET', path, { headers: { 'if-none-match': `"${digest}"` } });
      expect([answer.status, answer.bytes.length]).toEqual([304, 0]);
    });

    test('nothing is compressed on the way', async () => {
      const headers = { 'accept-encoding': 'gzip, br' };
      const answer = await wire.send('GET', path, { headers });
      expect([answer.headers.get('content-encoding'), answer.headers.get('content-length')]).toEqual([null, '10']);
    });
  });

  describe('manifests', () => {
    const repository = 'manifests';
    const set = imageSet('an image');
    const [image] = set.manifests;
    if (image === undefined) throw new Error('the set has no manifest');
    beforeAll(async () => {
      for (const blob of set.blobs) await wire.push(repository, blob.bytes);
    });
    const put = (body: object | string, mediaType: string = MediaType.ociManifest): Promise<WireResponse> => {
      const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
      return wire.put(repository, 'latest', { bytes, mediaType });
    };
    const good = JSON.parse(image.bytes.toString()) as Record<string, unknown>;

    test('a manifest that names missing blobs is refused, naming each', async () => {
      const other = new SetBuilder('never pushed');
      other.image();
      const [missing] = other.manifests;
      if (missing === undefined) throw new Error('no manifest');
      const answer = await wire.put(repository, 'latest', missing);
      expect([answer.status, answer.code]).toEqual([400, 'MANIFEST_BLOB_UNKNOWN']);
      const { errors } = JSON.parse(answer.bytes.toString()) as { errors: { detail: { digest: string } }[] };
      expect(errors.map(({ detail }) => detail.digest).sort()).toEqual(other.blobs.map(({ digest }) => digest).sort());
    });

    test('an index that names a missing manifest is refused', async () => {
      const child = { mediaType: MediaType.ociManifest, digest: digestOf('no child'), size: 1 };
      const answer = await put(
        { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [child] },
        MediaType.ociIndex,
      );
      expect([answer.status, answer.code]).toEqual([400, 'MANIFEST_BLOB_UNKNOWN']);
    });

    test.each(['sha256', 'sha512'] as const)(
      'where a repository may lack parts, an index by %s is taken without them, and they when they come',
      async (algorithm) => {
        await registry.registry.sparseRepositories.add('sparse/*');
        const sparse = new SetBuilder(`sparse ${algorithm}`, algorithm);
        const inner = sparse.index([sparse.image({}, [sparse.layer(10)])]);
        sparse.index([inner]);
        const [child, nested, outer] = sparse.manifests;
        if (child === undefined || nested === undefined || outer === undefined) throw new Error('no manifest');
        const at = (digest: string): string => `/v2/sparse/${algorithm}/manifests/${digest}`;
        for (const each of [outer, nested, child]) {
          expect((await wire.send('GET', at(each.digest))).status).toBe(404);
          expect((await wire.put(`sparse/${algorithm}`, each.digest, each)).status).toBe(201);
          const got = await wire.send('GET', at(each.digest));
          expect([got.status, got.bytes.equals(each.bytes)]).toEqual([200, true]);
        }
        const [config] = sparse.blobs;
        expect((await wire.send('HEAD', `/v2/sparse/${algorithm}/blobs/${config?.digest}`)).status).toBe(404);
        await wire.push(`sparse/${algorithm}`, config?.bytes ?? ten, 'stream', config?.digest);
        expect((await wire.send('HEAD', `/v2/sparse/${algorithm}/blobs/${config?.digest}`)).status).toBe(200);
      },
    );

    test.each<[string, () => Promise<WireResponse>]>([
      ['text that is no JSON', () => put('{')],
      ['a list', () => put('[]')],
      [
        'bytes that are no UTF-8',
        () => wire.put(repository, 'x', { bytes: Buffer.from([0xff, 0xfe]), mediaType: MediaType.ociManifest }),
      ],
      ['nothing', () => put('')],
      ['a hundred thousand open brackets', () => put('['.repeat(100_000))],
      ['schema 1', () => put({ schemaVersion: 1 }, 'application/vnd.docker.distribution.manifest.v1+prettyjws')],
      ['layers and manifests in one', () => put({ ...good, manifests: [] })],
      ['a media type other than its Content-Type', () => put(good, MediaType.dockerManifest)],
      ['an index with layers', () => put({ ...good, mediaType: MediaType.ociIndex }, MediaType.ociIndex)],
      ['an unknown Content-Type', () => put({ ...good, mediaType: undefined }, 'application/json')],
      ['a negative size', () => put({ ...good, config: { ...(good['config'] as object), size: -1 } })],
      ['a size other than the blob has', () => put({ ...good, config: { ...(good['config'] as object), size: 1 } })],
      ['a bad digest inside', () => put({ ...good, config: { ...(good['config'] as object), digest: 'sha256:x' } })],
      ['a subject without a digest', () => put({ ...good, subject: { mediaType: 'x' } })],
      ['annotations that are numbers', () => put({ ...good, annotations: { a: 1 } })],
    ])('%s is refused as MANIFEST_INVALID', async (_, send) => {
      const answer = await send();
      expect([answer.status, answer.code]).toEqual([400, 'MANIFEST_INVALID']);
    });

    test('bytes of another digest than the path says are refused', async () => {
      const answer = await wire.put(repository, digestOf('other'), image);
      expect([answer.status, answer.code]).toEqual([400, 'DIGEST_INVALID']);
    });

    test('4 MiB are taken as far as size goes, one byte more is 413', async () => {
      const padded = (size: number): string => `${JSON.stringify(good)}${' '.repeat(size)}`.slice(0, size);
      const limit = 4 * 1024 * 1024;
      expect((await put(padded(limit))).status).toBe(201);
      const answer = await put(padded(limit + 1));
      expect([answer.status, answer.code]).toEqual([413, 'SIZE_INVALID']);
    });

    test('parameters of the Content-Type are ignored, and without one the document speaks for itself', async () => {
      expect((await put(good, `${MediaType.ociManifest}; charset=utf-8`)).status).toBe(201);
      const bare = await wire.send('PUT', `/v2/${repository}/manifests/bare`, {
        body: image.bytes,
        headers: { 'content-type': '' },
      });
      expect(bare.status).toBe(201);
      const got = await wire.send('GET', `/v2/${repository}/manifests/bare`);
      expect(got.headers.get('content-type')).toBe(MediaType.ociManifest);
    });

    test('the same push twice is 201 twice', async () => {
      for (let i = 0; i < 2; i++) expect((await wire.put(repository, 'twice', image)).status).toBe(201);
    });

    test('more tags than one transaction holds are 414', async () => {
      const query = `?${Array.from({ length: 41 }, (_, i) => `tag=t${i}`).join('&')}`;
      expect((await wire.put(repository, image.digest, image, query)).status).toBe(414);
    });

    test.each(['.bad', '-bad', 'a'.repeat(129), 'with%20blank', '%FF'])('the tag %s is 400', async (tag) => {
      for (const method of ['GET', 'DELETE', 'PUT']) {
        const answer = await wire.send(
          method,
          `/v2/${repository}/manifests/${tag}`,
          method === 'PUT' ? { body: '{}' } : {},
        );
        expect([method, answer.status]).toEqual([method, 400]);
      }
    });

    test('a tag moves, and what it pointed at stays until it is deleted', async () => {
      const moved = new SetBuilder('moved');
      moved.image({}, []);
      const [second] = moved.manifests;
      if (second === undefined) throw new Error('no manifest');
      for (const blob of moved.blobs) await wire.push(repository, blob.bytes);
      await wire.put(repository, 'moving', image);
      await wire.put(repository, 'moving', second);
      const got = await wire.send('HEAD', `/v2/${repository}/manifests/moving`);
      expect(got.headers.get('docker-content-digest')).toBe(second.digest);
      expect((await wire.send('HEAD', `/v2/${repository}/manifests/${image.digest}`)).status).toBe(200);
    });
  });

  describe('listings', () => {
    const repository = 'listings/tags';
    const names = ['Z', '_x', 'a', 'a-1', 'a.1', 'b', 'latest', 'v1', 'v10', 'v2'];
    beforeAll(async () => {
      const set = imageSet('an empty index');
      const [index] = set.manifests;
      if (index === undefined) throw new Error('no manifest');
      await wire.put(repository, index.digest, index, `?${names.map((tag) => `tag=${tag}`).join('&')}`);
    });
    const tags = async (query: string): Promise<{ tags: string[]; link: string | null }> => {
      const answer = await wire.send('GET', `/v2/${repository}/tags/list${query}`);
      expect(answer.status).toBe(200);
      const { tags: listed } = JSON.parse(answer.bytes.toString()) as { tags: string[] };
      return { tags: listed, link: answer.headers.get('link') };
    };

    test('all tags come in ASCII order, without a Link', async () => {
      expect(await tags('')).toEqual({ tags: [...names].sort(), link: null });
    });

    test('n=0 is an empty list without a Link', async () => {
      expect(await tags('?n=0')).toEqual({ tags: [], link: null });
    });

    test('pages follow their Links to the end, whatever their size', async () => {
      for (const n of [1, 3, 9, 10, 11, 1_000_000]) {
        const seen: string[] = [];
        let query: string | undefined = `?n=${n}`;
        while (query !== undefined) {
          const page = await tags(query);
          expect(page.tags.length).toBeLessThanOrEqual(n);
          seen.push(...page.tags);
          query = /^<[^?]*(\?[^>]*)>; rel="next"$/.exec(page.link ?? '')?.[1];
          if (page.link !== null) expect(page.tags).toHaveLength(n);
        }
        expect(seen).toEqual([...names].sort());
      }
    });

    test('last is exclusive, and need not exist', async () => {
      expect((await tags('?last=b')).tags).toEqual(['latest', 'v1', 'v10', 'v2']);
      expect((await tags('?n=1&last=az')).tags).toEqual(['b']);
      expect((await tags('?last=zzz')).tags).toEqual([]);
    });

    test.each(['?n=-1', '?n=abc', '?n=1.5', `?last=${'x'.repeat(400)}`, '?last=%00', '?n='])(
      '%s is 400',
      async (query) => {
        expect((await wire.send('GET', `/v2/${repository}/tags/list${query}`)).status).toBe(400);
        expect((await wire.send('GET', `/v2/_catalog${query}`)).status).toBe(400);
      },
    );

    test('the tags of an unknown repository are 404, its referrers an empty index', async () => {
      const unknown = await wire.send('GET', '/v2/listings/unknown/tags/list');
      expect([unknown.status, unknown.code]).toEqual([404, 'NAME_UNKNOWN']);
      const referrers = await wire.send('GET', `/v2/listings/unknown/referrers/${digestOf('x')}`);
      expect([referrers.status, JSON.parse(referrers.bytes.toString()).manifests]).toEqual([200, []]);
    });

    test('the catalogue lists repositories in pages', async () => {
      const all: string[] = [];
      let path: string | undefined = '/v2/_catalog?n=2';
      while (path !== undefined) {
        const answer: WireResponse = await wire.send('GET', path);
        all.push(...(JSON.parse(answer.bytes.toString()) as { repositories: string[] }).repositories);
        path = /^<([^>]*)>/.exec(answer.headers.get('link') ?? '')?.[1];
      }
      expect(all).toEqual([...all].sort());
      expect(all).toEqual(expect.arrayContaining([repository, 'reads', 'manifests', 'mount/source']));
    });

    test('many large referrers come in pages of at most 4 MiB', async () => {
      const set = new SetBuilder('paged referrers');
      const subject = set.image({}, []);
      for (let i = 0; i < 6; i++) set.artifact({ subject, annotations: { big: String(i).repeat(900_000) } }, []);
      for (const blob of set.blobs) await wire.push('listings/referrers', blob.bytes);
      for (const manifest of set.manifests) await wire.put('listings/referrers', manifest.digest, manifest);
      const seen: string[] = [];
      let path: string | undefined = `/v2/listings/referrers/referrers/${subject.digest}`;
      let pages = 0;
      while (path !== undefined) {
        const answer: WireResponse = await wire.send('GET', path);
        expect(answer.bytes.length).toBeLessThanOrEqual(4 * 1024 * 1024);
        const { manifests } = JSON.parse(answer.bytes.toString()) as { manifests: { digest: string }[] };
        seen.push(...manifests.map(({ digest }) => digest));
        path = /^<([^>]*)>/.exec(answer.headers.get('link') ?? '')?.[1];
        pages += 1;
      }
      expect(pages).toBeGreaterThan(1);
      expect(seen.sort()).toEqual(
        set.manifests
          .slice(1)
          .map(({ digest }) => digest as string)
          .sort(),
      );
    });
  });

  describe('everything else', () => {
    test('every answer names the API version', async () => {
      for (const path of ['/v2/', '/v2', '/v2/nothing/here', '/v2/x/tags/list']) {
        expect((await wire.send('GET', path)).headers.get('docker-distribution-api-version')).toBe('registry/2.0');
      }
    });

    test('GET /v2/ is 200 for whoever is known', async () => {
      expect((await wire.send('GET', '/v2/')).status).toBe(200);
    });

    test.each([
      ['POST', '/v2/'],
      ['PUT', '/v2/x/tags/list'],
      ['DELETE', '/v2/x/blobs/uploads/'],
      ['POST', `/v2/x/blobs/${digestOf('x')}`],
      ['PATCH', '/v2/x/manifests/latest'],
      ['DELETE', '/v2/_catalog'],
    ])('%s %s is 405 with what is allowed', async (method, path) => {
      const answer = await wire.send(method, path);
      expect([answer.status, answer.code]).toEqual([405, 'UNSUPPORTED']);
      expect(answer.headers.get('allow')).not.toBeNull();
    });

    test.each(['/v2/x', '/v2/x/y/z', '/v2/x/tags', '/v2/x/blobs', '/v2//'])('%s is no end-point: 404', async (path) => {
      expect((await wire.send('GET', path)).status).toBe(404);
    });

    test.each(['UPPER', 'a//b', 'a/-b', 'a_', '.a', 'a b', 'x'.repeat(256), 'ü', 'a%2fb%00'])(
      'the name %j is 400',
      async (name) => {
        const encoded = name.split('/').map(encodeURIComponent).join('/');
        for (const path of [
          `${encoded}/tags/list`,
          `${encoded}/manifests/latest`,
          `${encoded}/blobs/${digestOf('x')}`,
        ]) {
          const answer = await wire.send('GET', `/v2/${path}`);
          expect([answer.status, answer.code]).toEqual([400, 'NAME_INVALID']);
        }
      },
    );

    test('names may contain the words of the protocol', async () => {
      const repository = 'v2/blobs/uploads/manifests/tags/list';
      const set = imageSet('an empty index');
      const [index] = set.manifests;
      if (index === undefined) throw new Error('no manifest');
      expect((await wire.push(repository, ten, 'chunks')).status).toBe(201);
      expect((await wire.put(repository, 'blobs', index)).status).toBe(201);
      expect((await wire.send('GET', `/v2/${repository}/manifests/blobs`)).status).toBe(200);
      expect((await wire.send('GET', `/v2/${repository}/tags/list`)).status).toBe(200);
    });
  });
}
