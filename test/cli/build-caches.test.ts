/** `--cache-from` and `--cache-to`: what is asked for, what is refused, and the folder on this side. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parseCaches } from '../../lib/cli/build-caches.js';
import { readCacheFolder, writeCacheFolder } from '../../lib/cli/cache-folder.js';
import { cacheSourceOf, cacheTargetOf } from '../../lib/http/cache-options/index.js';
import { writeTar } from '../../lib/layers/index.js';
import { digestOf, MediaType } from '../../lib/oci/index.js';
import { file } from '../layers/members.js';
import { refusalOf } from '../refusal.js';
import { type CliFixture, createAppFixture, createCliFixture } from './cli-fixture.js';

const caches = (option: 'cacheFrom' | 'cacheTo', text: string): unknown => parseCaches({ [option]: [text] });

describe('an option', () => {
  test.each([
    ['app:cache', { type: 'registry', ref: 'app:cache' }],
    ['type=registry,ref=ghcr.io/team/app:cache', { type: 'registry', ref: 'ghcr.io/team/app:cache' }],
  ])('of a source may be %s', (text, source) => {
    expect(cacheSourceOf(text)).toEqual(source);
  });

  test.each([
    ['type=inline', { type: 'inline' }],
    ['type=inline,mode=min,ignore-error=true', { type: 'inline' }],
    ['type=local,dest=c,mode=max', { type: 'local', mode: 'max' }],
    [
      'type=registry,ref=app,mode=min,image-manifest=true,oci-mediatypes=1,ignore-error=false',
      { type: 'registry', ref: 'app', mode: 'min', imageManifest: true, ociMediaTypes: true, ignoreError: false },
    ],
  ])('of a target may be %s', (text, target) => {
    expect(cacheTargetOf(text)).toEqual(target);
  });

  test.each([
    ['cacheFrom', 'type=gha,scope=main', 'CACHE_UNSUPPORTED_GHA', /type=registry/],
    ['cacheTo', 'type=azblob,account_url=x', 'CACHE_UNSUPPORTED_AZBLOB', /type=registry/],
    ['cacheTo', 'type=s3,bucket=b', 'CACHE_UNSUPPORTED_S3', /type=registry/],
    ['cacheTo', 'type=constructor', 'CACHE_OPTION_INVALID', /type=registry,ref=<name>/],
    ['cacheTo', 'ref=app:cache', 'CACHE_OPTION_INVALID', /type=registry,ref=<name>/],
    ['cacheTo', 'type=registry', 'CACHE_OPTION_INVALID', /ref/],
    ['cacheTo', 'type=registry,ref=a,level=3', 'CACHE_OPTION_INVALID', /^ref, mode, .*of type=registry$/],
    ['cacheTo', 'type=registry,ref=a,mode=most', 'CACHE_OPTION_INVALID', /mode=min or mode=max/],
    ['cacheTo', 'type=registry,ref=a,ignore-error=maybe', 'CACHE_OPTION_INVALID', /ignore-error=true/],
    ['cacheTo', 'type=inline,mode=max', 'CACHE_OPTION_INVALID', /mode=min/],
    ['cacheTo', 'type=local,dest=c,reset=maybe', 'CACHE_OPTION_INVALID', /reset=true or reset=false/],
    ['cacheTo', 'type=local', 'CACHE_OPTION_INVALID', /dest=<folder>/],
    ['cacheFrom', 'type=local,dest=c', 'CACHE_OPTION_INVALID', /^src, tag, digest of type=local$/],
    ['cacheFrom', 'type=local', 'CACHE_OPTION_INVALID', /src=<folder>/],
  ] as const)('%s=%s is refused with %s', (option, text, code, hint) => {
    const error = refusalOf(() => caches(option, text));
    expect(error.code).toBe(code);
    expect(error.hint).toMatch(hint);
  });
});

describe('wharf build', () => {
  let cli: CliFixture;
  beforeAll(async () => {
    cli = await createAppFixture();
  });
  afterAll(() => cli.close());

  async function asked(...args: readonly string[]): Promise<unknown> {
    const { builds } = cli.api;
    const before = builds.submitted.length;
    const running = cli.run(['build', 'app', '--check', ...args]);
    await cli.api.base.until('it was submitted', () => builds.submitted.length > before);
    const id = (await builds.list({ limit: 1 })).builds[0]?.id ?? '';
    builds.tell(id, { type: 'finished', status: 'succeeded', report: { kind: 'check', warnings: [] } });
    await running;
    return builds.submitted.at(-1);
  }

  test('asks for caches in the order of its options', async () => {
    const from = ['--cache-from', 'app:a,app:b', '--cache-from', '', '--cache-from', 'type=registry,ref=app:c'];
    expect(await asked(...from, '--cache-to', 'type=inline', '--cache-to', 'app:c')).toMatchObject({
      cacheFrom: ['app:a', 'app:b', 'app:c'].map((ref) => ({ type: 'registry', ref })),
      cacheTo: [{ type: 'inline' }, { type: 'registry', ref: 'app:c' }],
    });
    expect(await asked('--cache-to', '')).not.toHaveProperty('cacheTo');
  });

  test('as a query too', async () => {
    const url = `${cli.url}/v1/builds?cache-from=app:a&cache-to=type%3Dlocal,mode%3Dmax`;
    const response = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${cli.api.tokens.admin}`, 'content-type': 'application/x-tar' },
      body: Buffer.alloc(1024),
    });
    expect(response.status).toBe(202);
    expect(cli.api.builds.submitted.at(-1)).toMatchObject({
      cacheFrom: [{ type: 'registry', ref: 'app:a' }],
      cacheTo: [{ type: 'local', mode: 'max' }],
    });
  });

  test('of a cache that is refused sends nothing', async () => {
    const before = cli.api.builds.submitted.length;
    const ran = await cli.run(['build', 'app', '--cache-to', 'type=gha']);
    expect([ran.code, ran.stderr]).toEqual([expect.any(Number), expect.stringContaining('CACHE_UNSUPPORTED_GHA')]);
    expect(ran.code).not.toBe(0);
    expect(cli.api.builds.submitted).toHaveLength(before);
  });

  test('sends of a folder what its tag names, and leaves out a folder without it', async () => {
    const folder = join(cli.folder, 'cache');
    await writeCacheFolder(writeTar(cacheTar('one')), folder, { tag: 'latest', reset: false });
    const found = readCacheFolder(folder, { tag: 'latest' });
    const reference = 'digest' in found ? found.digest : '';
    expect(await asked('--cache-from', 'type=local,src=cache')).toMatchObject({
      cacheFrom: [{ type: 'local', layout: expect.stringMatching(/^sha256:/), reference }],
    });
    expect(await asked('--cache-from', 'type=local,src=cache,tag=other')).not.toHaveProperty('cacheFrom');
    expect(await asked('--cache-from', 'type=local,src=nowhere')).not.toHaveProperty('cacheFrom');
  });
});

describe('a folder', () => {
  let cli: CliFixture;
  beforeAll(async () => (cli = await createCliFixture()));
  afterAll(() => cli.close());

  const tagsOf = async (folder: string): Promise<unknown> =>
    (JSON.parse(await readFile(join(folder, 'index.json'), 'utf8')) as { manifests: object[] }).manifests;
  const blobs = (folder: string): Promise<string[]> => readdir(join(folder, 'blobs', 'sha256'));

  test('keeps what other tags name; one that is written again loses its old blobs with reset only', async () => {
    const folder = join(cli.folder, 'kept');
    await writeCacheFolder(writeTar(cacheTar('one')), folder, { tag: 'latest', reset: false });
    await writeCacheFolder(writeTar(cacheTar('two')), folder, { tag: 'branch', reset: false });
    expect(await tagsOf(folder)).toMatchObject(
      ['latest', 'branch'].map((tag) => ({ annotations: { 'org.opencontainers.image.ref.name': tag } })),
    );
    expect(await blobs(folder)).toHaveLength(6);
    await writeCacheFolder(writeTar(cacheTar('three')), folder, { tag: 'branch', reset: false });
    expect(await blobs(folder)).toHaveLength(9);
    await writeCacheFolder(writeTar(cacheTar('three')), folder, { tag: 'branch', reset: true });
    expect(await blobs(folder)).toHaveLength(6);
  });

  test('takes no blob that is not what its name says', async () => {
    const folder = join(cli.folder, 'broken');
    const [first, ...rest] = cacheTar('one');
    const lying = [{ ...file(first?.entry.path ?? '', 'other') }, ...rest];
    await expect(writeCacheFolder(writeTar(lying), folder, { tag: 'latest', reset: false })).rejects.toMatchObject({
      code: 'CACHE_BROKEN',
    });
    expect(await blobs(folder)).toEqual([]);
  });
});

/** As the platform sends a cache: blobs, then the index. */
function cacheTar(content: string): ReturnType<typeof file>[] {
  const layer = Buffer.from(`layer ${content}`);
  const config = Buffer.from(JSON.stringify({ layers: [], records: [], content }));
  const of = (mediaType: string, bytes: Buffer): object => ({ mediaType, digest: digestOf(bytes), size: bytes.length });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: of('application/vnd.buildkit.cacheconfig.v0', config),
      layers: [of(MediaType.ociLayerGzip, layer)],
    }),
  );
  const index = { schemaVersion: 2, manifests: [of(MediaType.ociManifest, manifest)] };
  return [
    ...[layer, config, manifest].map((bytes) => file(`blobs/${digestOf(bytes).replace(':', '/')}`, bytes)),
    file('index.json', JSON.stringify(index)),
    file('oci-layout', '{"imageLayoutVersion":"1.0.0"}'),
  ];
}
