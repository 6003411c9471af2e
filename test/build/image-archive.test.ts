/** Images as tars: what is in them, and what skopeo and docker's own format make of them. */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { createWriteStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  type ArchiveFormat,
  type BuildRequest,
  builtArchive,
  imageArchive,
  type ImageArchiveOptions,
} from '../../lib/build/index.js';
import { type LayerEntry, readTar } from '../../lib/layers/index.js';
import { digestOf, MediaType } from '../../lib/oci/index.js';
import { requireTools } from '../host-tools.js';
import { type BuildFixture, buildFixture, failure, type Files } from './fixture.js';

const run = promisify(execFile);
const Dockerfile = 'FROM base:1\nCOPY a /dir/a\nCOPY link /dir/link\nCMD ["/dir/a"]\n';
const files = { Dockerfile, a: { content: 'A', mode: 0o755 }, link: { symlink: 'a' } };

let f: BuildFixture;
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wharf-archive-'));
  f = await buildFixture();
  await f.push('base:1', { 'etc/': {}, 'etc/name': 'base', 'etc/other': { hardlink: 'etc/name' } });
});

afterEach(async () => {
  await f.close();
  await rm(folder, { recursive: true, force: true });
});

const archive = (name: string, format: ArchiveFormat, platform?: string) =>
  imageArchive({ images: f.registry, content: f.store.content, indexes: f.indexes }, name, {
    format,
    ...(platform === undefined ? {} : { platform }),
  });

async function contents(name: string, format: ArchiveFormat): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const { entry, body } of readTar(await archive(name, format))) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of body) chunks.push(chunk);
    found.set(entry.path, entry.linkTarget === undefined ? Buffer.concat(chunks).toString() : `-> ${entry.linkTarget}`);
  }
  return found;
}

async function saved(name: string, format: ArchiveFormat): Promise<string> {
  const path = join(folder, `${format}.tar`);
  await pipeline(await archive(name, format), createWriteStream(path));
  return path;
}

test('a root folder has the files of all layers, merged', async () => {
  await f.build(files);
  const found = await contents('app', 'rootfs');
  expect(Object.fromEntries(found)).toEqual({
    dir: '',
    'dir/a': 'A',
    'dir/link': 'A',
    etc: '',
    'etc/name': 'base',
    'etc/other': '-> etc/name',
  });
});

test('the same image gives the same bytes', async () => {
  await f.build(files);
  for (const format of ['oci', 'docker', 'rootfs'] as const) {
    const first = await readFile(await saved('app', format));
    expect((await readFile(await saved('app', format))).equals(first)).toBe(true);
  }
});

describe('an index', () => {
  beforeEach(async () => {
    await f.build(
      { Dockerfile: 'FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /arch\n', amd64: 'x', arm64: 'y' },
      {
        platforms: ['linux/amd64', 'linux/arm64'],
      },
    );
  });

  test('goes into a layout with all its platforms', async () => {
    const found = await contents('app', 'oci');
    const blobs = [...found.keys()].filter((path) => /^blobs\/sha256\/./.test(path));
    expect(blobs).toHaveLength(1 + 2 * 3);
    const index = JSON.parse(found.get('index.json') ?? '') as {
      manifests: { mediaType: string; annotations: object }[];
    };
    expect(index.manifests).toMatchObject([
      {
        mediaType: 'application/vnd.oci.image.index.v1+json',
        annotations: { 'org.opencontainers.image.ref.name': 'latest' },
      },
    ]);
  });

  test('needs a platform where one image is held', async () => {
    const error = await failure(archive('app', 'docker'));
    expect([error.code, error.hint]).toEqual(['IMAGE_PLATFORM_NEEDED', 'one of linux/amd64, linux/arm64']);
    expect((await failure(archive('app', 'rootfs', 'linux/s390x'))).code).toBe('IMAGE_PLATFORM_UNKNOWN');
    await archive('app', 'rootfs', 'linux/arm64');
  });
});

test('what is not there is refused before the first byte', async () => {
  expect((await failure(archive('nothing', 'oci'))).code).toBe('IMAGE_NOT_FOUND');
  expect((await failure(archive('other.example/app', 'oci'))).code).toBe('IMAGE_NOT_FOUND');
  const { result } = await f.build(files);
  await f.store.records.delete({ partition: `BLOB#${result.layers[1]?.digest ?? ''}`, sort: '-' });
  for (const format of ['oci', 'docker'] as const) {
    expect((await failure(archive('app', format))).code).toBe('IMAGE_INCOMPLETE');
  }
});

requireTools('skopeo').describe('skopeo', () => {
  test.each([
    ['oci', 'oci-archive'],
    ['docker', 'docker-archive'],
  ] as const)('reads %s', async (format, transport) => {
    const { result } = await f.build(files);
    const path = await saved('app', format);
    const { stdout } = await run('skopeo', ['inspect', '--config', `${transport}:${path}`]);
    expect(JSON.parse(stdout)).toMatchObject({
      architecture: 'amd64',
      config: { Cmd: ['/dir/a'] },
      rootfs: (await f.config(result.imageId)).rootfs,
    });
    // A copy reads every blob and compares every digest.
    const copy = join(folder, 'copy');
    await run('skopeo', ['copy', '--insecure-policy', `${transport}:${path}`, `dir:${copy}`]);
    expect((await stat(join(copy, 'manifest.json'))).size).toBeGreaterThan(0);
  });

  test('unpacks layers of several zstd frames to what their diff ids say', async () => {
    const big = randomBytes(9_000_000).toString('latin1');
    const { result } = await f.build({ ...files, a: big }, { compression: { type: 'zstd', level: 3 } });
    const path = await saved('app', 'oci');
    const plain = join(folder, 'plain');
    await run('skopeo', ['copy', '--insecure-policy', '--dest-decompress', `oci-archive:${path}`, `dir:${plain}`]);
    const hashes: string[] = [];
    for (const name of await readdir(plain)) {
      hashes.push(
        `sha256:${createHash('sha256')
          .update(await readFile(join(plain, name)))
          .digest('hex')}`,
      );
    }
    const { diff_ids: ids } = (await f.config(result.imageId)).rootfs;
    expect(hashes).toEqual(expect.arrayContaining([...ids]));
  });
});

test.each<[string[]]>([[[]], [['app']]])(
  'of a build with tags %j it is there, with what only an export can show',
  async (tags) => {
    const annotations = { index: { a: 'index' }, indexDescriptor: { b: 'entry' } };
    const request = { tags, platforms: ['linux/amd64', 'linux/arm64'], annotations };
    const { result } = await f.build({ Dockerfile: 'FROM scratch\nCOPY a /a', a: 'A' }, request);
    const build = { id: 'x', status: 'succeeded', request: { ...request, context: result.digest }, result } as const;
    const deps = { images: f.registry, content: f.store.content, indexes: f.indexes };
    const path = join(folder, 'built.tar');
    await pipeline(await builtArchive(deps, build, { format: 'oci' }), createWriteStream(path));
    const { stdout } = await run('tar', ['-xOf', path, 'index.json']);
    expect(JSON.parse(stdout)).toMatchObject({
      manifests: [{ digest: result.digest, mediaType: MediaType.ociIndex, annotations: { b: 'entry' } }],
    });
    const inside = await run('tar', ['-xOf', path, `blobs/${result.digest.replace(':', '/')}`]);
    expect(JSON.parse(inside.stdout)).toMatchObject({ annotations: { a: 'index' } });
    for (const platform of request.platforms) await builtArchive(deps, build, { format: 'rootfs', platform });
    const { result: _, ...failed } = { ...build, status: 'failed' as const };
    expect((await failure(builtArchive(deps, failed, { format: 'oci' }))).code).toBe('BUILD_NO_IMAGE');
  },
);

describe('the root folder of a build', () => {
  const rootOf = async (
    request: Partial<BuildRequest>,
    context: Files = files,
    options: Omit<ImageArchiveOptions, 'format'> = {},
  ) => {
    const { result } = await f.build(context, request);
    const build = {
      id: 'b',
      status: 'succeeded',
      request: { context: digestOf(''), tags: [], ...request },
      result,
    } as const;
    const deps = { images: f.registry, content: f.store.content, indexes: f.indexes };
    const found = new Map<string, { readonly entry: LayerEntry; readonly text: string }>();
    for await (const { entry, body } of readTar(await builtArchive(deps, build, { format: 'rootfs', ...options }))) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of body) chunks.push(chunk);
      found.set(entry.path, { entry, text: Buffer.concat(chunks).toString() });
    }
    return found;
  };

  test('has what is attested beside its files, and about them', async () => {
    const found = await rootOf({ attestations: { provenance: {} } });
    const { entry, text } = found.get('provenance.json') ?? {};
    expect(entry?.mode).toBe(0o600);
    const { subject, predicateType } = JSON.parse(text ?? '');
    expect(predicateType).toBe('https://slsa.dev/provenance/v1');
    const sha256 = (content: string): string => createHash('sha256').update(content).digest('hex');
    expect(subject).toEqual([
      { name: 'dir/a', digest: { sha256: sha256('A') } },
      { name: 'dir/link', digest: { sha256: sha256('A') } },
      { name: 'etc/name', digest: { sha256: sha256('base') } },
      { name: 'etc/other', digest: { sha256: sha256('base') } },
    ]);
    expect([...(await rootOf({})).keys()].filter((path) => path.endsWith('.json'))).toEqual([]);
  });

  test('has one time under SOURCE_DATE_EPOCH, that of the base too', async () => {
    const args = { SOURCE_DATE_EPOCH: '1000000000' };
    const found = await rootOf({ args, attestations: { provenance: {} } });
    expect(new Set([...found.values()].map(({ entry }) => entry.mtimeSeconds))).toEqual(new Set([1_000_000_000]));
  });

  test('is dated in a layout, unless an annotation says otherwise', async () => {
    const annotationsOf = async (request: Partial<BuildRequest>): Promise<unknown> => {
      const { result } = await f.build(files, { tags: [], ...request });
      const common = { id: 'b', status: 'succeeded', finishedMs: 1_700_000_000_123 } as const;
      const build = { ...common, request: { context: digestOf(''), tags: [], ...request }, result };
      const deps = { images: f.registry, content: f.store.content, indexes: f.indexes };
      for await (const { entry, body } of readTar(await builtArchive(deps, build, { format: 'oci' }))) {
        const chunks: Uint8Array[] = [];
        for await (const chunk of body) chunks.push(chunk);
        if (entry.path === 'index.json') return JSON.parse(Buffer.concat(chunks).toString()).manifests[0].annotations;
      }
      return undefined;
    };
    const name = 'org.opencontainers.image.created';
    expect(await annotationsOf({})).toEqual({ [name]: '2023-11-14T22:13:20Z' });
    expect(await annotationsOf({ args: { SOURCE_DATE_EPOCH: '1000000000' } })).toEqual({
      [name]: '2001-09-09T01:46:40Z',
    });
    const indexDescriptor = { [name]: 'then' };
    expect(await annotationsOf({ annotations: { indexDescriptor } })).toEqual(indexDescriptor);
  });

  test('has all platforms in one where it is not split, and attestations with a prefix', async () => {
    const scratch = { Dockerfile: 'FROM scratch\nARG TARGETARCH\nCOPY a /bin/$TARGETARCH\n', a: 'A' };
    const request = { platforms: ['linux/amd64', 'linux/arm64'], attestations: { provenance: {} } };
    const found = await rootOf(request, scratch, { platformSplit: false, attestationPrefix: 'app.' });
    expect([...found.keys()]).toEqual([
      'bin',
      'bin/amd64',
      'app.provenance.linux_amd64.json',
      'bin/arm64',
      'app.provenance.linux_arm64.json',
    ]);
    const same = { ...scratch, Dockerfile: 'FROM scratch\nARG TARGETARCH\nENV A=$TARGETARCH\nCOPY a /bin/\n' };
    const refused = await failure(rootOf(request, same, { platformSplit: false }));
    expect([refused.code, refused.message]).toEqual(['IMAGE_PLATFORMS_COLLIDE', expect.stringContaining('bin/a')]);
    // One image of an index, in a folder all the same.
    const one = { ...request, platforms: ['linux/arm64'] };
    expect([...(await rootOf(one, scratch, { platformSplit: true })).keys()][0]).toBe('linux_arm64');
  });

  test('has a folder for each platform', async () => {
    const scratch = { Dockerfile: 'FROM scratch\nARG TARGETARCH\nCOPY a /$TARGETARCH\n', a: 'A' };
    const request = { platforms: ['linux/amd64', 'linux/arm64'], attestations: { provenance: {} } };
    const found = await rootOf(request, scratch);
    expect([...found.keys()]).toEqual([
      'linux_amd64',
      'linux_amd64/amd64',
      'linux_amd64/provenance.json',
      'linux_arm64',
      'linux_arm64/arm64',
      'linux_arm64/provenance.json',
    ]);
  });
});
