/** Caches that move between builders: two stores, and CNCF's registry in between. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type BuildEvent, type BuildRequest, type BuildResult, RemoteImages } from '../../lib/build/index.js';
import { type Descriptor, type Digest, digestOf, type Manifest, parseManifestDocument } from '../../lib/oci/index.js';
import { pushImage, RegistryClient } from '../../lib/registry/client/index.js';
import { requireTools } from '../host-tools.js';
import { type CncfRegistry, startCncfRegistry } from '../protocol/registry/cncf-registry.js';
import { type BuildFixture, buildFixture, failure, type Files, textOf } from './fixture.js';

const CONFIG_TYPE = 'application/vnd.buildkit.cacheconfig.v0';
const Dockerfile = [
  'FROM scratch AS made',
  'COPY src /in/src',
  'COPY other /other',
  'FROM scratch',
  'COPY --from=made /in/src /src',
  'COPY own /own',
].join('\n');
const FILES = { Dockerfile, src: 'source', other: 'other', own: 'own' };

let cncf: CncfRegistry;
let here: BuildFixture;
let there: BuildFixture;
/** `METHOD path` of what was asked of the registry. */
let requests: string[];
let ref: string;

beforeAll(async () => {
  requireTools('docker-registry');
  cncf = await startCncfRegistry();
  here = await remote();
});
afterAll(async () => {
  await here.close();
  await cncf.close();
});

const remote = () => {
  const counting: typeof fetch = (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    requests.push(`${init?.method ?? 'GET'} ${url.pathname}`);
    return fetch(input, init);
  };
  return buildFixture({ remote: ({ content, clock }) => new RemoteImages({ content, clock, fetch: counting }) });
};

let number = 0;
beforeEach(async () => {
  requests = [];
  there = await remote();
  number += 1;
  ref = `${cncf.host}/team/app${number}:cache`;
});
afterEach(() => there.close());

const warnings = (events: readonly BuildEvent[]): string[] =>
  events.flatMap((event) => (event.type === 'warning' ? [event.message] : []));
const cachedSteps = ({ steps }: BuildResult): string[] =>
  steps.filter(({ cached }) => cached).map(({ instruction }) => instruction);
const layersRead = (): string[] => requests.filter((each) => /^GET .*\/blobs\//.test(each));
const client = (): RegistryClient =>
  new RegistryClient({ clock: here.store.clock }, { registry: cncf.host, insecure: true });
const repository = (): string => `team/app${number}`;

async function manifestOf(tag: string): Promise<Manifest> {
  const stored = await client().getManifest(repository(), tag);
  const document = parseManifestDocument(stored?.bytes ?? Buffer.alloc(0), '');
  if (document.kind !== 'manifest') throw new Error('a manifest was wanted');
  return document.manifest;
}

/** Puts another cache under the tag: its config changed, and its layers perhaps. */
async function rewrite(change: (config: string) => string, layers?: readonly Descriptor[]): Promise<void> {
  const before = await manifestOf('cache');
  const bytes = Buffer.from(change((await blobOf(before.config.digest)).toString()));
  const config = { mediaType: CONFIG_TYPE, digest: digestOf(bytes), size: bytes.length };
  const open = async function* () {
    yield bytes;
  };
  await client().uploadBlob(repository(), { digest: config.digest, sizeBytes: config.size, open });
  const manifest = Buffer.from(JSON.stringify({ ...before, config, layers: layers ?? before.layers }));
  await client().putManifest(repository(), 'cache', manifest, before.mediaType);
}

interface Config {
  layers: { blob: Digest; parent: number }[];
  records: { digest: string; layers: { layer: number; createdAt: string }[]; inputs?: { link: number }[][] }[];
}

async function blobOf(digest: Digest): Promise<Buffer> {
  const blob = await client().getBlob(repository(), digest);
  const chunks: Buffer[] = [];
  for await (const chunk of blob?.stream ?? []) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

describe('a cache at a registry', () => {
  test('gives another builder every step of the image, and it fetches only the layers of the image', async () => {
    const made = await here.build(FILES, { cacheTo: [{ type: 'registry', ref }] });
    expect(made.result.caches).toEqual([
      { type: 'registry', ref, digest: expect.stringMatching(/^sha256:/), steps: 2 },
    ]);
    requests.length = 0;
    const { result, events } = await there.build(FILES, { cacheFrom: [{ type: 'registry', ref }] });
    expect(result.digest).toBe(made.result.digest);
    expect(cachedSteps(result)).toEqual(['COPY --from=made /in/src /src', 'COPY own /own']);
    expect(result.steps.map(({ importedFrom }) => importedFrom)).toEqual([ref, ref]);
    expect(warnings(events)).toEqual([]);
    // The config, and two layers.
    expect(layersRead()).toHaveLength(3);
    expect(await textOf(await there.tree(result.digest), 'own')).toBe('own');
  });

  test('has the steps of all stages with mode=max', async () => {
    const made = await here.build(FILES, { cacheTo: [{ type: 'registry', ref, mode: 'max' }] });
    expect(made.result.caches?.[0]?.steps).toBe(4);
    const changed = { ...FILES, Dockerfile: Dockerfile.replace('made /in/src /src', 'made /in/src /new') };
    requests.length = 0;
    const { result } = await there.build(changed, { cacheFrom: [{ type: 'registry', ref }] });
    // What comes after the changed step stands on another layer.
    expect(cachedSteps(result)).toEqual(['COPY src /in/src', 'COPY other /other']);
    expect(await textOf(await there.tree(result.digest), 'new')).toBe('source');
  });

  test('is a manifest with a config as BuildKit has them, the same for the same build', async () => {
    const request = { cacheTo: [{ type: 'registry', ref, mode: 'max' }] } as const;
    const first = await here.build(FILES, request);
    const { config, layers } = await manifestOf('cache');
    expect(config.mediaType).toBe(CONFIG_TYPE);
    for (const { annotations } of layers) {
      expect(annotations).toEqual({
        'buildkit/createdat': expect.stringMatching(/^\d{4}-.*Z$/),
        'containerd.io/uncompressed': expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
      });
    }
    const parsed = JSON.parse((await blobOf(config.digest)).toString()) as Config;
    expect(parsed.layers.map(({ blob }) => blob)).toEqual(layers.map(({ digest }) => digest));
    expect(parsed.layers.map(({ parent }) => parent)).toEqual(layers.map(() => -1));
    for (const record of parsed.records) {
      expect(record.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
      expect(parsed.layers[record.layers[0]?.layer ?? -1]).toBeDefined();
      for (const inputs of record.inputs ?? [])
        for (const { link } of inputs) expect(parsed.records[link]).toBeDefined();
    }
    const second = await here.build(FILES, request);
    expect(second.result.stepsCached).toBe(4);
    expect(second.result.caches?.[0]?.digest).toBe(first.result.caches?.[0]?.digest);
  });

  test('goes on through another builder with all it has', async () => {
    const first = await here.build(FILES, { cacheTo: [{ type: 'registry', ref, mode: 'max' }] });
    requests.length = 0;
    const again = await there.build(FILES, {
      cacheFrom: [{ type: 'registry', ref }],
      cacheTo: [{ type: 'registry', ref: `${ref}-2`, mode: 'max' }],
    });
    expect(again.result.caches?.[0]?.digest).toBe(first.result.caches?.[0]?.digest);
    // Layers that are not in the image are at the registry, and stay there.
    expect(layersRead()).toHaveLength(3);
  });

  test('tells its keys by content, so what follows a step that gave the same again is found', async () => {
    const before = `${Dockerfile}\nWORKDIR /w`;
    await here.build({ ...FILES, Dockerfile: before }, { cacheTo: [{ type: 'registry', ref, mode: 'max' }] });
    const changed = before.replace('COPY src /in/src', 'COPY --chown=0:0 src /in/src');
    const { result } = await there.build({ ...FILES, Dockerfile: changed }, { cacheFrom: [{ type: 'registry', ref }] });
    expect(cachedSteps(result)).toEqual([
      'COPY other /other',
      'COPY --from=made /in/src /src',
      'COPY own /own',
      'WORKDIR /w',
    ]);
  });

  test.each([
    ['an index of OCI', { imageManifest: false }, 'application/vnd.oci.image.index.v1+json'],
    ['a list of docker', { ociMediaTypes: false }, 'application/vnd.docker.distribution.manifest.list.v2+json'],
  ])('may be %s', async (_what, form, mediaType) => {
    await here.build(FILES, { cacheTo: [{ type: 'registry', ref, ...form }] });
    expect((await client().getManifest(repository(), 'cache'))?.mediaType).toBe(mediaType);
    const { result } = await there.build(FILES, { cacheFrom: [{ type: 'registry', ref }] });
    expect(result.stepsCached).toBe(2);
  });

  test('is in a plan beforehand, and in the reason of a miss afterwards', async () => {
    await here.build(FILES, { cacheTo: [{ type: 'registry', ref, mode: 'max' }] });
    const cacheFrom = [{ type: 'registry', ref } as const];
    const { report } = await there.report(FILES, { plan: true, cacheFrom });
    expect(report).toMatchObject({ kind: 'plan', hits: 4, misses: 0, steps: [{ importedFrom: ref }, {}, {}, {}] });
    expect(report.kind === 'plan' ? report.bytes.fetch : 0).toBeGreaterThan(0);
    await there.build(FILES, { cacheFrom });
    const { result } = await there.build({ ...FILES, own: 'newer' }, { cacheFrom });
    expect(result.steps.flatMap(({ reason }) => reason ?? [])).toEqual(['own: content changed']);
  });

  test('of several platforms is one', async () => {
    const request = { platforms: ['linux/amd64', 'linux/arm64'] };
    const made = await here.build(FILES, { ...request, cacheTo: [{ type: 'registry', ref }] });
    expect(made.result.caches?.[0]?.steps).toBe(4);
    const { result } = await there.build(FILES, { ...request, cacheFrom: [{ type: 'registry', ref }] });
    expect(result.stepsCached).toBe(4);
    expect(result.digest).toBe(made.result.digest);
  });
});

describe('several caches', () => {
  test('are asked in their order; one that is missing is a warning, one that cannot be read too', async () => {
    await here.build(FILES, { cacheTo: [{ type: 'registry', ref }] });
    await here.build({ ...FILES, own: 'newer' }, { cacheTo: [{ type: 'registry', ref: `${ref}-branch` }] });
    const from = ['absent', '', '-branch'].map((tail) => ({ type: 'registry', ref: `${ref}${tail}` }) as const);
    const dead = { type: 'registry', ref: '127.0.0.1:1/team/app:cache' } as const;
    const { result, events } = await there.build({ ...FILES, own: 'newer' }, { cacheFrom: [dead, ...from] });
    expect(result.steps.map(({ importedFrom }) => importedFrom)).toEqual([ref, `${ref}-branch`]);
    expect(warnings(events)).toEqual([
      expect.stringMatching(/^cache 127\.0\.0\.1:1\/team\/app:cache cannot be read: REGISTRY_UNREACHABLE/),
      `cache ${ref}absent is not there, so nothing is taken from it`,
    ]);
  });

  test('that have lost a layer give way to the next, and then to building', async () => {
    const made = await here.build(FILES, { cacheTo: [{ type: 'registry', ref }] });
    const lost = made.result.layers[1]?.digest ?? '';
    const response = await fetch(`${cncf.url}/v2/${repository()}/blobs/${lost}`, { method: 'DELETE' });
    expect(response.status).toBe(202);
    const { result } = await there.build(FILES, { cacheFrom: [{ type: 'registry', ref }] });
    expect(cachedSteps(result)).toEqual(['COPY --from=made /in/src /src']);
    expect(result.digest).toBe(made.result.digest);
  });
});

test('a cache that another builder wrote is read, and told to have nothing of this build', async () => {
  await here.build(FILES, { cacheTo: [{ type: 'registry', ref, mode: 'max' }] });
  // As BuildKit has them: records that stand on others, by selectors, with digests of its own graph.
  await rewrite((text) => {
    const config = JSON.parse(text) as Config;
    const records = config.records.map((record, i) => ({
      ...record,
      digest: digestOf(`vertex ${i}`),
      ...(i === 0 ? {} : { inputs: [[{ selector: '/src', link: i - 1 }]] }),
    }));
    return JSON.stringify({ ...config, records });
  });
  const { result, events } = await there.build(FILES, { cacheFrom: [{ type: 'registry', ref }] });
  expect(result.stepsCached).toBe(0);
  expect(warnings(events)).toEqual([]);
  const told = events.flatMap((event) => (event.type === 'message' ? [event.text] : []));
  expect(told.filter((text) => text.startsWith(`cache ${ref}: `))).toEqual([
    expect.stringMatching(/: it has \d+ keys of steps$/),
    expect.stringContaining('what BuildKit wrote has other keys'),
  ]);
});

describe('a cache in the image itself', () => {
  test('is in its config, and leads to its layers', async () => {
    const tag = 'app:1';
    const plain = await here.build(FILES, { tags: [tag] });
    const made = await here.build(FILES, { tags: [tag], cacheTo: [{ type: 'inline' }] });
    expect(made.result.layers).toEqual(plain.result.layers);
    expect(made.result.imageId).not.toBe(plain.result.imageId);
    const config = JSON.parse(((await here.store.content.read(made.result.imageId)) ?? '').toString()) as Record<
      string,
      string
    >;
    const records = JSON.parse(
      Buffer.from(config['moby.buildkit.cache.v0'] ?? '', 'base64').toString(),
    ) as Config['records'];
    expect(records.filter(({ inputs }) => inputs === undefined).map(({ layers }) => layers[0]?.layer)).toEqual(
      expect.arrayContaining([0, 1]),
    );
    const again = await here.build({ ...FILES, own: 'newer' }, { tags: [tag], cacheTo: [{ type: 'inline' }] });
    await pushImage(
      { ...here.store, images: here.registry, client: client() },
      {
        repository: 'app',
        digest: again.result.digest,
        to: { repository: repository(), tag: 'image' },
      },
    );
    const image = `${cncf.host}/${repository()}:image`;
    const { result } = await there.build({ ...FILES, own: 'newer' }, { cacheFrom: [{ type: 'registry', ref: image }] });
    expect(result.steps.map(({ importedFrom }) => importedFrom)).toEqual([image, image]);
    expect(result.layers).toEqual(again.result.layers);
  });

  test('is what docker’s build argument asks for', async () => {
    const asked = await here.build(FILES, { args: { BUILDKIT_INLINE_CACHE: '1' } });
    const said = await here.build(FILES, { cacheTo: [{ type: 'inline' }] });
    expect(asked.result.imageId).toBe(said.result.imageId);
  });
});

describe('what was imported', () => {
  /** A cache that has the key of `COPY own /own`, and another layer for it. */
  async function poison(): Promise<void> {
    await here.build(FILES, { cacheTo: [{ type: 'registry', ref, mode: 'max' }] });
    await here.build({ ...FILES, own: 'evil' }, { cacheTo: [{ type: 'registry', ref: `${ref}-evil`, mode: 'max' }] });
    const [good, evil] = [await manifestOf('cache'), await manifestOf('cache-evil')];
    const known = new Set([...good.layers, ...evil.layers].map(({ digest }) => digest));
    const only = ({ layers }: Manifest, other: Manifest): Descriptor | undefined =>
      layers.find(({ digest }) => known.has(digest) && !other.layers.some((each) => each.digest === digest));
    const [right, wrong] = [only(good, evil), only(evil, good)];
    if (right === undefined || wrong === undefined) throw new Error('the two caches are the same');
    const layers = good.layers.map((layer) => (layer === right ? wrong : layer));
    await rewrite((text) => text.replaceAll(right.digest, wrong.digest), layers);
  }

  const LONGER = {
    ...FILES,
    Dockerfile: `${Dockerfile}\nWORKDIR /w\nCOPY --link own /linked\nCOPY --from=made /in /in`,
  };

  test('is for the build that names it only, with all that was made on it', async () => {
    await poison();
    const cacheFrom = [{ type: 'registry', ref } as const];
    const { result } = await there.build(LONGER, { cacheFrom });
    expect(await textOf(await there.tree(result.digest), 'own')).toBe('evil');
    const made = result.steps.filter(({ cached }) => !cached).map(({ instruction }) => instruction);
    expect(made).toEqual(['WORKDIR /w', 'COPY --link own /linked', 'COPY --from=made /in /in']);
    // The linked layer stands on nothing, so it is everybody's.
    const others = await there.build(LONGER);
    expect(cachedSteps(others.result)).toEqual(['COPY --link own /linked']);
    expect(await textOf(await there.tree(others.result.digest), 'own')).toBe('own');
  });

  test('lets who imports it find again what was made on it, and nobody else', async () => {
    await poison();
    const cacheFrom = [{ type: 'registry', ref } as const];
    await as('anna', LONGER, cacheFrom);
    expect((await as('anna', LONGER, cacheFrom)).stepsCached).toBe(7);
    const bert = await as('bert', LONGER, cacheFrom);
    expect(bert.steps.filter(({ cached }) => !cached).map(({ instruction }) => instruction)).toEqual([
      'WORKDIR /w',
      'COPY --from=made /in /in',
    ]);
  });

  async function as(owner: string, files: Files, cacheFrom: BuildRequest['cacheFrom']): Promise<BuildResult> {
    const call = { id: there.store.ids.ulid(), emit: () => undefined, signal: new AbortController().signal, owner };
    const request = {
      context: await there.context(files),
      tags: [],
      ...(cacheFrom === undefined ? {} : { cacheFrom }),
    };
    const result = await there.builder.build(request, call);
    if ('kind' in result) throw new Error('an image was wanted');
    return result;
  }
});

describe('writing a cache', () => {
  test('that fails is a failed build without a tag, or a warning where that is asked for', async () => {
    const dead = { type: 'registry', ref: '127.0.0.1:1/team/app:cache' } as const;
    const error = await failure(here.build(FILES, { tags: ['failed:1'], cacheTo: [dead] }));
    expect(error.code).toBe('REGISTRY_UNREACHABLE');
    expect(error.message).toContain('cache 127.0.0.1:1/team/app:cache: ');
    expect(await here.registry.manifest('failed', { tag: '1' })).toBeUndefined();
    const { result, events } = await here.build(FILES, { cacheTo: [{ ...dead, ignoreError: true }] });
    expect(result.caches).toEqual([{ ...dead, steps: 0 }]);
    expect(warnings(events)).toEqual([expect.stringMatching(/could not be written: REGISTRY_UNREACHABLE/)]);
  });
});
