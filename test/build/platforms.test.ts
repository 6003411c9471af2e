/** Several platforms in one build, annotations, no-cache-filter, compression, and SOURCE_DATE_EPOCH in its forms. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { MediaType, parseManifestDocument } from '../../lib/oci/index.js';
import { BASE_TIME, type BuildFixture, buildFixture, failure, textOf } from './fixture.js';

let f: BuildFixture;

beforeEach(async () => {
  f = await buildFixture();
  await f.push('base:1', { 'etc/': {}, 'etc/name': 'base' });
});

afterEach(() => f.close());

async function indexOf(tag = 'latest') {
  const stored = await f.registry.manifest('app', { tag });
  const document = parseManifestDocument(stored?.bytes ?? Buffer.alloc(0), stored?.mediaType ?? '');
  if (document.kind !== 'index') throw new Error('no index');
  return document.index;
}

describe('several platforms', () => {
  const Dockerfile = [
    'FROM --platform=$BUILDPLATFORM base:1 AS tools',
    'COPY a /tool',
    'FROM scratch',
    'ARG TARGETARCH',
    'COPY --from=tools /tool /tool',
    'COPY $TARGETARCH /arch',
  ].join('\n');
  const files = { Dockerfile, a: 'A', amd64: 'I am amd64', arm64: 'I am arm64' };

  test('become one index, and the stage of the build platform is made once', async () => {
    const { result, events } = await f.build(files, { platforms: ['linux/amd64', 'linux/arm64/v8'] });
    const index = await indexOf();
    expect(index.manifests.map(({ platform }) => platform)).toEqual([
      { architecture: 'amd64', os: 'linux' },
      { architecture: 'arm64', os: 'linux' },
    ]);
    expect(result.digest).toBe((await f.registry.manifest('app', { tag: 'latest' }))?.digest);
    expect(result.platforms?.map(({ platform }) => platform)).toEqual(['linux/amd64', 'linux/arm64']);
    for (const [i, arch] of ['amd64', 'arm64'].entries()) {
      const digest = index.manifests[i]?.digest;
      if (digest === undefined) throw new Error('a manifest is missing');
      expect(await textOf(await f.tree(digest), 'arch')).toBe(`I am ${arch}`);
      const imageId = result.platforms?.[i]?.imageId;
      if (imageId === undefined) throw new Error('an image is missing');
      expect((await f.config(imageId)).architecture).toBe(arch);
    }
    const made = result.steps.filter(({ cached }) => !cached).map(({ name }) => name);
    expect(made).toHaveLength(5);
    expect(made.filter((name) => name.includes('tools'))).toHaveLength(1);
    const numbers = events.flatMap((event) => (event.type === 'step-finished' ? [event.step] : []));
    expect(numbers.sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(result.steps[0]?.name).toBe('[linux/amd64 tools 1/1]');
  });

  test('share what is made once without the cache too', async () => {
    await f.build(files);
    const { result } = await f.build(files, { platforms: ['linux/amd64', 'linux/arm64'], noCache: true });
    expect(result.steps.filter(({ cached }) => !cached)).toHaveLength(5);
  });

  test('give the same index again, and one platform alone gives a plain image', async () => {
    const platforms = ['linux/amd64', 'linux/arm64'];
    const first = await f.build(files, { platforms });
    const again = await f.build(files, { platforms });
    expect(again.result.digest).toBe(first.result.digest);
    expect(again.result.stepsCached).toBe(6);
    const one = await f.build(files, { platforms: ['linux/arm64'] });
    expect(one.result.platforms).toBeUndefined();
    expect(one.result.digest).toBe(first.result.platforms?.[1]?.digest);
  });

  test('RUN for a platform that cannot run here names the line and what helps', async () => {
    const sandbox = { run: () => Promise.reject(new Error('must not run')) };
    const other = await buildFixture({ sandbox: async () => sandbox });
    try {
      await other.push('base:1', { 'etc/': {} });
      const error = await failure(
        other.build({ Dockerfile: 'FROM base:1\nCOPY a /\nRUN true\n', a: '' }, { platforms: ['linux/s390x'] }),
      );
      expect(error.code).toBe('BUILD_UNSUPPORTED_EMULATION');
      expect(error.message).toMatch(/Dockerfile:3:1: RUN for linux\/s390x cannot be run on linux\/amd64/);
      expect(error.hint).toContain('BUILDPLATFORM');
    } finally {
      await other.close();
    }
  });

  test('RUN for a platform that the host emulates runs', async () => {
    const ran: string[] = [];
    const sandbox = {
      emulates: async () => true,
      run: async <T>(
        request: { process: { args: readonly string[] } },
        collect: (changes: AsyncIterable<never>) => Promise<T>,
      ) => {
        ran.push(request.process.args.join(' '));
        return { exitCode: 0, outOfMemory: false, value: await collect((async function* () {})()) } as const;
      },
    };
    const other = await buildFixture({ sandbox: async () => sandbox });
    try {
      await other.push('base:1', { 'etc/': {} });
      await other.build({ Dockerfile: 'FROM base:1\nRUN true\n' }, { platforms: ['linux/arm64'] });
      expect(ran).toEqual(['/bin/sh -c true']);
    } finally {
      await other.close();
    }
  });
});

test('annotations go to the manifest, the index and its entries', async () => {
  const annotations = { manifest: { m: '1' }, index: { i: '2' }, manifestDescriptor: { d: '3' } };
  await f.build({ Dockerfile: 'FROM base:1\n' }, { annotations });
  const index = await indexOf();
  expect(index.annotations).toEqual({ i: '2' });
  expect(index.manifests[0]?.annotations).toEqual({ d: '3' });
  const stored = await f.registry.manifest('app', { digest: index.manifests[0]?.digest ?? ('' as never) });
  expect(JSON.parse(stored?.bytes.toString() ?? '')).toMatchObject({ annotations: { m: '1' } });
});

describe('no-cache-filter', () => {
  const Dockerfile =
    'FROM base:1 AS one\nCOPY a /a\nFROM base:1 AS two\nCOPY b /b\nFROM scratch\nCOPY --from=one /a /\nCOPY --from=two /b /\n';

  test('makes the steps of its stages anew, and what they give decides on the rest', async () => {
    const files = { Dockerfile, a: 'A', b: 'B' };
    await f.build(files);
    const { result } = await f.build(files, { noCacheFilter: ['two'] });
    expect(result.steps.map(({ cached, reason }) => (cached ? 'cached' : reason))).toEqual([
      'cached',
      'built without the cache',
      'cached',
      'cached',
    ]);
  });

  test('of a stage that is not there is refused', async () => {
    const error = await failure(f.build({ Dockerfile, a: '', b: '' }, { noCacheFilter: ['three'] }));
    expect([error.code, error.hint]).toEqual(['BUILD_STAGE_UNKNOWN', 'stages: one, two, 2']);
  });
});

describe('compression', () => {
  const files = { Dockerfile: 'FROM scratch\nCOPY a /a\n', a: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaa'.repeat(100) };

  test('has a level, and layers of one level are not taken for those of another', async () => {
    const plain = await f.build(files);
    const stored = await f.build(files, { compression: { type: 'gzip', level: 0 } });
    const again = await f.build(files, { compression: { type: 'gzip', level: 6 } });
    expect(stored.result.steps[0]?.cached).toBe(false);
    expect(again.result.digest).toBe(plain.result.digest);
    expect(stored.result.layers[0]?.size).toBeGreaterThan(2800);
    expect((await f.config(stored.result.imageId)).rootfs).toEqual((await f.config(plain.result.imageId)).rootfs);
  });

  test('none leaves layers as tars', async () => {
    const { result } = await f.build(files, { compression: { type: 'none' } });
    expect(result.layers[0]?.mediaType).toBe(MediaType.ociLayer);
  });

  test('zstd gives the same files under other blobs', async () => {
    const plain = await f.build(files);
    const { result } = await f.build(files, { compression: { type: 'zstd', level: 3 } });
    expect(result.layers[0]?.mediaType).toBe(MediaType.ociLayerZstd);
    expect((await f.config(result.imageId)).rootfs).toEqual((await f.config(plain.result.imageId)).rootfs);
    expect([...(await f.tree(result.digest)).walk()].length).toBeGreaterThan(0);
  });

  test('to eStargz keeps its annotations in the cache, and on top of such a base', async () => {
    const compression = { type: 'estargz' } as const;
    const first = await f.build(files, { compression });
    const again = await f.build(files, { compression });
    expect([again.result.stepsCached, again.result.digest]).toEqual([again.result.steps.length, first.result.digest]);
    const isLazy = ({ annotations = {} }: { annotations?: Readonly<Record<string, string>> }): boolean =>
      'containerd.io/snapshot/stargz/toc.digest' in annotations;
    const onTop = await f.build({ Dockerfile: 'FROM app\nCOPY a /b', a: 'B' }, { tags: ['top'] });
    const lazy = first.result.layers.map(isLazy);
    expect(lazy).toContain(true);
    expect(onTop.result.layers.map(isLazy)).toEqual([...lazy, false]);
    expect(await textOf(await f.tree(onTop.result.digest, 'top'), 'b')).toBe('B');
    const context = await f.context(files);
    const refused = async (more: object): Promise<unknown> =>
      (await failure(f.builds.submit({ context, tags: [], ...more }))).code;
    expect(await refused({ compression: { ...compression, force: true } })).toBe('COMPRESSION_UNSUPPORTED');
    expect(await refused({ compression, mediaTypes: 'docker' })).toBe('BUILD_MEDIA_TYPES');
  });

  test('of a level that is none is refused', async () => {
    const error = await failure(f.build(files, { compression: { type: 'gzip', level: 11 } }));
    expect(error.code).toBe('COMPRESSION_LEVEL');
  });
});

describe('SOURCE_DATE_EPOCH', () => {
  const created = async (Dockerfile: string, args: Record<string, string> = {}): Promise<[string, string[]]> => {
    const { result, events } = await f.build({ Dockerfile, a: 'A' }, { args });
    const { created: time } = await f.config(result.imageId);
    return [time ?? '', events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))];
  };
  const copy = 'FROM scratch\nCOPY a /a\n';

  test('is a build argument or the default of a global ARG', async () => {
    expect((await created(copy, { SOURCE_DATE_EPOCH: '1445412480' }))[0]).toBe('2015-10-21T07:28:00Z');
    expect((await created(`ARG SOURCE_DATE_EPOCH=1445412480\n${copy}`))[0]).toBe('2015-10-21T07:28:00Z');
    expect((await created(`ARG SOURCE_DATE_EPOCH=1445412480\n${copy}`, { SOURCE_DATE_EPOCH: '0' }))[0]).toBe(
      '1970-01-01T00:00:00Z',
    );
  });

  test('from an uploaded context is not set, and a warning says so', async () => {
    const [plain] = await created(copy);
    const Dockerfile =
      'ARG SOURCE_DATE_EPOCH=context\nFROM scratch\nARG SOURCE_DATE_EPOCH\nLABEL e=$SOURCE_DATE_EPOCH\nCOPY a /a\n';
    const [time, warnings] = await created(Dockerfile);
    expect(time).toBe(plain);
    expect(warnings.join()).toContain('SOURCE_DATE_EPOCH=context');
  });

  test('from a stage is the time of its image, for the stages that ask for it too', async () => {
    const Dockerfile = `ARG SOURCE_DATE_EPOCH=src\nFROM base:1 AS src\nFROM scratch\nARG SOURCE_DATE_EPOCH\nLABEL e=$SOURCE_DATE_EPOCH\nCOPY a /a\n`;
    const { result } = await f.build({ Dockerfile, a: 'A' });
    const config = await f.config(result.imageId);
    expect(config.created).toBe(new Date(BASE_TIME * 1000).toISOString().replace('.000', ''));
    expect(config.config?.Labels).toEqual({ e: String(BASE_TIME) });
  });

  test.each([
    ['nowhere', 'names no stage'],
    ['built', 'is built here'],
    ['12x!', 'is not a time'],
  ])('%s is refused', async (value, problem) => {
    const Dockerfile = `ARG SOURCE_DATE_EPOCH=${value}\nFROM base:1 AS built\nCOPY a /a\n`;
    const error = await failure(f.build({ Dockerfile, a: '' }));
    expect(error.code).toBe('BUILD_EPOCH_INVALID');
    expect(error.message).toContain(problem);
  });
});
