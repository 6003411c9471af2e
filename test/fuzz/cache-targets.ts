/** What reads build caches that somebody else wrote: manifests, configs with records, records in images. */
import { readCache } from '../../lib/build/remote-cache/read-cache.js';
import { digestOf, isDigest, layerCompression, MediaType } from '../../lib/oci/index.js';
import { mutateText } from './mutate.js';
import type { Random } from './random.js';
import { expectThat, settled, type Target } from './target.js';

const CONFIG_TYPE = 'application/vnd.buildkit.cacheconfig.v0';
const digest = (of: string): string => digestOf(Buffer.from(of));
const layer = {
  mediaType: MediaType.ociLayerGzip,
  digest: digest('layer'),
  size: 7,
  annotations: { 'containerd.io/uncompressed': digest('diff'), 'buildkit/createdat': '2024-01-02T03:04:05Z' },
};
const created = { layer: 0, createdAt: '2024-01-02T03:04:05.5Z' };
/** The second as BuildKit writes them, with a selector and a result of several layers. */
const records = [
  { digest: digest('a'), layers: [created] },
  {
    digest: digest('b'),
    layers: [created],
    chains: [{ layers: [0, 1], createdAt: '' }],
    inputs: [[{ selector: 'sel', link: 0 }], [{ link: 0 }]],
  },
  { digest: 'random:x', inputs: [[]] },
];
const rootfs = { type: 'layers', diff_ids: [digest('diff')] };
const configs = [
  {
    layers: [
      { blob: digest('layer'), parent: -1 },
      { blob: digest('other'), parent: 0 },
    ],
    records,
  },
  {
    architecture: 'amd64',
    os: 'linux',
    rootfs,
    'moby.buildkit.cache.v0': Buffer.from(JSON.stringify(records)).toString('base64'),
  },
].map((each) => JSON.stringify(each));
const of = (mediaType: string): object => ({ mediaType, digest: digest('config'), size: 9 });
const manifests = [
  { mediaType: MediaType.ociManifest, config: of(CONFIG_TYPE), layers: [layer] },
  { mediaType: MediaType.ociManifest, config: of(MediaType.ociConfig), layers: [layer] },
  { mediaType: MediaType.ociIndex, manifests: [layer, of(CONFIG_TYPE)] },
  {
    mediaType: MediaType.ociIndex,
    manifests: [{ ...of(MediaType.ociManifest), platform: { os: 'linux', architecture: 'amd64' } }],
  },
].map((each) => JSON.stringify({ schemaVersion: 2, ...each }));

async function caches(random: Random): Promise<void> {
  const changed = (texts: readonly string[]): string =>
    random.chance(0.5) ? random.pick(texts) : mutateText(random, texts);
  const document = (): { digest: ReturnType<typeof digestOf>; mediaType: string; bytes: Buffer } => {
    const bytes = Buffer.from(changed(manifests));
    return { digest: digestOf(bytes), mediaType: '', bytes };
  };
  const source = {
    where: 'a fuzzer',
    manifest: () => Promise.resolve(document()),
    config: () => Promise.resolve(random.chance(0.05) ? undefined : Buffer.from(changed(configs))),
    has: () => Promise.resolve(true),
  };
  await settled(async () => {
    for (const { key, step } of await readCache(source, document())) {
      const { diffId, descriptor, newestSeconds, contentKey = key } = step;
      expectThat(/^[0-9a-f]{64}$/.test(key) && /^[0-9a-f]{64}$/.test(contentKey), `a key is ${key}`);
      expectThat(isDigest(diffId) && isDigest(descriptor.digest), 'a digest is none');
      expectThat(layerCompression(descriptor.mediaType) !== undefined, `a layer is ${descriptor.mediaType}`);
      expectThat(Number.isSafeInteger(newestSeconds) && newestSeconds >= 0, `a time is ${newestSeconds}`);
    }
  });
}

export const CACHE_TARGETS: readonly Target[] = [{ name: 'caches', share: 0.05, run: caches }];
