/**
 * The matrix of the distribution-spec's conformance tests in our own words: each kind of content is pushed, listed,
 * read, referred to and deleted, over every way to upload, and every answer is checked to the byte.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Digest, digestOf, MediaType } from '../../../lib/oci/index.js';
import { IMAGE_SETS, type ImageSet, imageSet, type TestManifest } from './images.js';
import { type RunningRegistry, startTestRegistry } from './registry-server.js';
import type { StoreFactory } from './stores.js';
import { location, UPLOAD_STYLES, Wire } from './wire.js';

export type ServedRegistry = Pick<RunningRegistry, 'url' | 'tokens' | 'close'>;

/** The matrix on a registry of our own over this store. */
export function conformance(openStore: StoreFactory, only?: readonly string[]): void {
  conformanceOf(async () => {
    const store = await openStore();
    const registry = await startTestRegistry(store);
    return {
      ...registry,
      async close() {
        await registry.close();
        await store.close();
      },
    };
  }, only);
}

/** @param only names of sets; all when absent, each by sha256 and sha512 */
export function conformanceOf(open: () => Promise<ServedRegistry>, only?: readonly string[]): void {
  let registry: ServedRegistry;
  let wire: Wire;

  beforeAll(async () => {
    registry = await open();
    wire = new Wire(registry);
  });
  afterAll(() => registry.close());

  const cells = (only ?? Object.keys(IMAGE_SETS)).flatMap((name, i) =>
    (only === undefined || i === 0 ? (['sha256', 'sha512'] as const) : (['sha256'] as const)).map((algorithm) => ({
      name,
      algorithm,
    })),
  );
  describe.each(cells)('$name by $algorithm', ({ name, algorithm }) => {
    const set = imageSet(name, algorithm === 'sha256' ? undefined : algorithm);
    const repository = `conformance/${algorithm}/${name.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`;

    test('nothing of it is there before', async () => {
      const paths = [
        ...set.blobs.map(({ digest }) => `/v2/${repository}/blobs/${digest}`),
        ...set.manifests.map(({ digest }) => `/v2/${repository}/manifests/${digest}`),
        `/v2/${repository}/manifests/latest`,
        `/v2/${repository}/tags/list`,
      ];
      for (const path of paths) expect((await wire.send('GET', path)).status).toBe(404);
    });

    test('its blobs are taken in every way of uploading, and are there', () => pushBlobs(wire, repository, set));

    test('its manifests are taken, and come back to the byte', async () => {
      for (const [i, manifest] of set.manifests.entries()) await pushManifest(wire, repository, manifest, i);
    });

    test('its tags are listed in order', async () => {
      const response = await wire.send('GET', `/v2/${repository}/tags/list`);
      expect(response.status).toBe(200);
      const expected = set.manifests.flatMap((manifest, i) => tagsOf(manifest, i));
      expect(JSON.parse(response.bytes.toString())).toEqual({ name: repository, tags: expected.sort() });
    });

    test('its referrers are listed with type and annotations, and can be filtered', () =>
      checkReferrers(wire, repository, set));

    test('what is deleted is gone at once, and only that', () => deleteAll(wire, repository, set));
  });
}

/** By digest a manifest gets ten tags in one request; one of sha256 is pushed by a tag alone as well. */
function tagsOf(manifest: TestManifest, i: number): string[] {
  const byDigest = Array.from({ length: 10 }, (_, n) => `m${i}.${n}`);
  return manifest.digest.startsWith('sha256:') ? [...byDigest, `tag-${i}`] : byDigest;
}

async function pushBlobs(wire: Wire, repository: string, set: ImageSet): Promise<void> {
  for (const [i, blob] of set.blobs.entries()) {
    for (const style of i === 0 ? UPLOAD_STYLES : [UPLOAD_STYLES[i % UPLOAD_STYLES.length] ?? 'stream']) {
      const pushed = await wire.push(repository, blob.bytes, style, blob.digest);
      expect([style, pushed.status]).toEqual([style, 201]);
      expect(pushed.headers.get('docker-content-digest')).toBe(blob.digest);
      expect((await wire.send('GET', location(pushed))).bytes.equals(blob.bytes)).toBe(true);
    }
    const path = `/v2/${repository}/blobs/${blob.digest}`;
    const head = await wire.send('HEAD', path);
    expect([head.status, head.headers.get('content-length'), head.bytes.length]).toEqual([
      200,
      String(blob.bytes.length),
      0,
    ]);
    const got = await wire.send('GET', path);
    expect([got.status, got.headers.get('content-length')]).toEqual([200, String(blob.bytes.length)]);
    expect(got.headers.get('docker-content-digest')).toBe(blob.digest);
    expect(got.bytes.equals(blob.bytes)).toBe(true);
  }
}

async function pushManifest(wire: Wire, repository: string, manifest: TestManifest, i: number): Promise<void> {
  const [byTag, ...byDigest] = tagsOf(manifest, i).reverse();
  const isSha256 = manifest.digest.startsWith('sha256:');
  const tags = isSha256 ? byDigest : [...byDigest, byTag ?? ''];
  const query = `?${tags.map((tag) => `tag=${tag}`).join('&')}`;
  const pushes = [await wire.put(repository, manifest.digest, manifest, query)];
  expect(pushes[0]?.headers.get('oci-tag')?.split(', ').sort()).toEqual([...tags].sort());
  if (isSha256) pushes.push(await wire.put(repository, byTag ?? '', manifest));
  for (const pushed of pushes) {
    expect([pushed.status, pushed.bytes.toString()]).toEqual([201, '']);
    expect(pushed.headers.get('docker-content-digest')).toBe(manifest.digest);
    expect(pushed.headers.get('oci-subject')).toBe(manifest.subject ?? null);
    expect((await wire.send('GET', location(pushed))).bytes.equals(manifest.bytes)).toBe(true);
  }
  for (const reference of [manifest.digest, byTag ?? '', tags[0] ?? '']) {
    for (const method of ['HEAD', 'GET']) {
      const got = await wire.send(method, `/v2/${repository}/manifests/${reference}`);
      expect(got.status).toBe(200);
      expect(got.headers.get('content-type')).toBe(manifest.mediaType);
      expect(got.headers.get('content-length')).toBe(String(manifest.bytes.length));
      expect(got.headers.get('docker-content-digest')).toBe(manifest.digest);
      expect(got.bytes.equals(method === 'HEAD' ? Buffer.alloc(0) : manifest.bytes)).toBe(true);
    }
  }
}

async function checkReferrers(wire: Wire, repository: string, set: ImageSet): Promise<void> {
  const subjects = new Set<Digest>([
    ...set.manifests.map(({ digest }) => digest),
    ...set.manifests.flatMap(({ subject }) => (subject === undefined ? [] : [subject])),
  ]);
  for (const subject of subjects) {
    const expected = set.manifests.filter((manifest) => manifest.subject === subject).map(describeManifest);
    const all = await wire.send('GET', `/v2/${repository}/referrers/${subject}`);
    expect(listing(all)).toEqual(byDigest(expected));
    expect(all.headers.get('oci-filters-applied')).toBeNull();
    for (const artifactType of new Set(expected.map((each) => each.artifactType ?? 'application/none'))) {
      const path = `/v2/${repository}/referrers/${subject}?artifactType=${encodeURIComponent(artifactType)}`;
      const some = await wire.send('GET', path);
      expect(some.headers.get('oci-filters-applied')).toBe('artifactType');
      expect(listing(some)).toEqual(byDigest(expected.filter((each) => each.artifactType === artifactType)));
    }
  }
}

interface Listed {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
  readonly artifactType?: string;
}

function describeManifest(manifest: TestManifest): Listed {
  const { digest, mediaType, artifactType, annotations } = manifest;
  return {
    digest,
    mediaType,
    size: manifest.bytes.length,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

function listing(response: { status: number; headers: Headers; bytes: Buffer }): readonly Listed[] {
  expect([response.status, response.headers.get('content-type')]).toEqual([200, MediaType.ociIndex]);
  const index = JSON.parse(response.bytes.toString()) as { manifests: Listed[] };
  expect(index).toMatchObject({ schemaVersion: 2, mediaType: MediaType.ociIndex });
  return byDigest(index.manifests);
}

function byDigest(listed: readonly Listed[]): readonly Listed[] {
  return [...listed].sort((a, b) => (a.digest < b.digest ? -1 : 1));
}

async function deleteAll(wire: Wire, repository: string, set: ImageSet): Promise<void> {
  const status = async (method: string, path: string): Promise<number> =>
    (await wire.send(method, `/v2/${repository}/${path}`)).status;
  for (const [i, manifest] of [...set.manifests.entries()].reverse()) {
    const [first = '', second = ''] = tagsOf(manifest, i);
    expect(await status('DELETE', `manifests/${first}`)).toBe(202);
    expect(await status('HEAD', `manifests/${first}`)).toBe(404);
    expect(await status('DELETE', `manifests/${first}`)).toBe(404);
    expect(await status('HEAD', `manifests/${second}`)).toBe(200);
    expect(await status('HEAD', `manifests/${manifest.digest}`)).toBe(200);
    expect(await status('DELETE', `manifests/${manifest.digest}`)).toBe(202);
    for (const gone of [manifest.digest, second]) expect(await status('HEAD', `manifests/${gone}`)).toBe(404);
    expect(await status('DELETE', `manifests/${manifest.digest}`)).toBe(404);
    if (manifest.subject !== undefined) {
      const listed = listing(await wire.send('GET', `/v2/${repository}/referrers/${manifest.subject}`));
      expect(listed.map(({ digest }) => digest)).not.toContain(manifest.digest);
    }
  }
  expect(JSON.parse((await wire.send('GET', `/v2/${repository}/tags/list`)).bytes.toString())).toEqual({
    name: repository,
    tags: [],
  });
  for (const digest of new Set(set.blobs.map((blob) => blob.digest))) {
    expect(await status('DELETE', `blobs/${digest}`)).toBe(202);
    for (const method of ['HEAD', 'GET', 'DELETE']) expect(await status(method, `blobs/${digest}`)).toBe(404);
  }
  expect(await status('HEAD', `blobs/${digestOf('never there')}`)).toBe(404);
}
