/** In which form an image is written: media types, compatibility with earlier BuildKits, compression of the base too. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { BuildRequest } from '../../lib/build/index.js';
import { imageArchive } from '../../lib/build/index.js';
import { readTar } from '../../lib/layers/index.js';
import { type Digest, MediaType, parseManifestDocument } from '../../lib/oci/index.js';
import { requireTools } from '../host-tools.js';
import { buildFixture, type BuildFixture, type Built, failure, textOf } from './fixture.js';
import { commit, git, startWebServer, type WebServer } from './remote-server.js';

let f: BuildFixture;
beforeAll(async () => {
  f = await buildFixture({ fetching: { egress: { allow: ['127.0.0.0/8'] } } });
  await f.push('base', { a: 'a'.repeat(1000) });
});
afterAll(() => f.close());

const FILES = { Dockerfile: 'FROM base\nCOPY b /b\n', b: 'b' };
const build = (request: Partial<BuildRequest>): Promise<Built> => f.build(FILES, request);

interface Types {
  readonly manifest: string;
  readonly config: string;
  readonly layers: readonly string[];
}

/** Media types of the image as its own manifest and the registry have them. */
async function typesOf(digest: Digest): Promise<Types> {
  const stored = await f.registry.manifest('app', { digest });
  if (stored === undefined) throw new Error('no manifest');
  const document = parseManifestDocument(stored.bytes, stored.mediaType);
  if (document.kind !== 'manifest') throw new Error('an index');
  const { mediaType } = JSON.parse(stored.bytes.toString()) as { mediaType: string };
  expect(mediaType).toBe(stored.mediaType);
  const { config, layers } = document.manifest;
  return { manifest: mediaType, config: config.mediaType, layers: layers.map((layer) => layer.mediaType) };
}

const DOCKER = {
  manifest: MediaType.dockerManifest,
  config: MediaType.dockerConfig,
  layers: [MediaType.dockerLayerGzip, MediaType.dockerLayerGzip],
};
const OCI = {
  manifest: MediaType.ociManifest,
  config: MediaType.ociConfig,
  layers: [MediaType.ociLayerGzip, MediaType.ociLayerGzip],
};

describe('media types', () => {
  test.each<[Partial<BuildRequest>, Types]>([
    [{}, OCI],
    [{ compatibilityVersion: 30 }, OCI],
    [{ compatibilityVersion: 20 }, DOCKER],
    [{ compatibilityVersion: 10 }, DOCKER],
    [{ mediaTypes: 'docker' }, DOCKER],
    [{ compatibilityVersion: 20, mediaTypes: 'oci' }, OCI],
    [{ compatibilityVersion: 20, annotations: { manifest: { a: 'b' } } }, OCI],
  ])('%j', async (request, types) => {
    expect(await typesOf((await build(request)).result.digest)).toEqual(types);
  });

  test('change labels only: layers and config are the same bytes', async () => {
    const [oci, docker] = [await build({}), await build({ mediaTypes: 'docker' })];
    expect(docker.result.imageId).toBe(oci.result.imageId);
    expect(docker.result.layers.map(({ digest }) => digest)).toEqual(oci.result.layers.map(({ digest }) => digest));
    const tar = await imageArchive({ ...f, images: f.registry, content: f.store.content }, 'app', { format: 'docker' });
    const names: string[] = [];
    for await (const { entry } of readTar(tar)) names.push(entry.path);
    expect(names).toContain('manifest.json');
  });

  test('are one family: docker’s with zstd or annotations are refused before anything is built', async () => {
    for (const request of [
      { mediaTypes: 'docker', compression: { type: 'zstd' } },
      { mediaTypes: 'docker', annotations: { index: { a: 'b' } } },
    ] as const) {
      const context = await f.context(FILES);
      const refused = await failure(f.builds.submit({ context, tags: [], ...request }));
      expect([refused.code, refused.hint]).toEqual(['BUILD_MEDIA_TYPES', expect.any(String)]);
    }
    const context = await f.context(FILES);
    const old = { context, tags: [], compatibilityVersion: 10, compression: { type: 'zstd' } } as const;
    expect((await failure(f.builds.submit(old))).code).toBe('BUILD_COMPATIBILITY_UNSUPPORTED');
  });
});

test.each(['zstd', 'none', 'gzip'] as const)('layers of the base come in %s too when it is forced', async (type) => {
  const types = { gzip: MediaType.ociLayerGzip, zstd: MediaType.ociLayerZstd, none: MediaType.ociLayer };
  const plain = await build({ compression: { type } });
  expect(plain.result.layers.map(({ mediaType }) => mediaType)).toEqual([MediaType.ociLayerGzip, types[type]]);
  const forced = await build({ compression: { type, force: true } });
  expect(forced.result.layers.map(({ mediaType }) => mediaType)).toEqual([types[type], types[type]]);
  // The same files: the config, with its diff ids, is the same.
  expect(forced.result.imageId).toBe(plain.result.imageId);
  expect(await textOf(await f.tree(forced.result.digest), 'a')).toBe('a'.repeat(1000));
  expect((await build({ compression: { type, force: true } })).result.digest).toBe(forced.result.digest);
});

requireTools('git', 'prlimit').describe('files of a repository', () => {
  let folder: string;
  let web: WebServer;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wharf-form-'));
    await mkdir(join(folder, 'app'));
    git(join(folder, 'app'), 'init', '-q', '-b', 'main');
    await commit(join(folder, 'app'), { x: 'x' });
    git(folder, 'clone', '-q', '--bare', 'app', 'app.git');
    web = await startWebServer(folder);
  });
  afterAll(async () => {
    await web.close();
    await rm(folder, { recursive: true, force: true });
  });

  test('are 0666 in version 10, and 0644 since', async () => {
    const mode = async (compatibilityVersion: 10 | 20): Promise<string | undefined> => {
      const Dockerfile = `FROM scratch\nADD ${web.url}/git/app.git /`;
      const { result } = await f.build({ Dockerfile }, { compatibilityVersion });
      return (await f.layer(result.layers[0]?.digest ?? ('' as never)))[0]?.mode;
    };
    expect([await mode(10), await mode(20)]).toEqual(['666', '644']);
  });
});
