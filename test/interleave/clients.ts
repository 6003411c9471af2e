/** What the actors do: clients that push, mount, ask, tag and delete, and a builder. Each knows only the registry. */
import { AppError } from '../../lib/errors/index.js';
import { type Digest, digestOf } from '../../lib/oci/index.js';
import type { Registry } from '../../lib/registry/index.js';
import type { Clock, ContentStore } from '../../lib/store/index.js';
import { bytesOf, SetBuilder, type TestBlob, type TestManifest } from '../protocol/registry/images.js';
import type { Ledger } from './ledger.js';
import type { Random } from './random.js';

export const REPOSITORIES = ['a', 'b'] as const;
export const TAGS = ['t0', 't1', 't2'] as const;

interface Image {
  readonly manifest: TestManifest;
  readonly blobs: readonly TestBlob[];
  readonly children: readonly Image[];
}

/** Few layers, so that images share them. Children of indexes are never deleted by clients: that breaks the index. */
const LAYERS = [0, 1, 2, 3].map((i) => bytesOf(`layer ${i}`, 40 + i));
const image = (name: string, layers: readonly number[], extra: object = {}): Image => {
  const set = new SetBuilder(name);
  set.image(
    extra,
    layers.map((i) => set.blob(LAYERS[i] ?? Buffer.alloc(0))),
  );
  const [manifest] = set.manifests;
  if (manifest === undefined) throw new Error('no manifest');
  return { manifest, blobs: set.blobs, children: [] };
};
const described = ({ manifest: { mediaType, digest, bytes } }: Image) => ({ mediaType, digest, size: bytes.length });
const index = (name: string, children: readonly Image[]): Image => {
  const set = new SetBuilder(name);
  set.index(children.map(described), { annotations: { name } });
  const [manifest] = set.manifests;
  if (manifest === undefined) throw new Error('no manifest');
  return { manifest, blobs: [], children };
};

const CHILDREN = [image('child 0', [0]), image('child 1', [0, 1]), image('child 2', [1, 2])] as const;
const PLAIN = [
  image('plain 0', [0, 1]),
  image('plain 1', [2]),
  image('plain 2', [3, 0]),
  image('plain 3', [3]),
] as const;
const INDEXES = [index('index 0', [CHILDREN[0], CHILDREN[1]]), index('index 1', [CHILDREN[1], CHILDREN[2]])] as const;
const REFERRERS = [
  image('referrer 0', [1], { subject: described(PLAIN[0]) }),
  image('referrer 1', [2], { subject: described(INDEXES[0]) }),
] as const;
const DELETABLE = [...PLAIN, ...INDEXES, ...REFERRERS];
export const PUSHABLE = [...CHILDREN, ...DELETABLE];

export interface Client {
  readonly registry: Registry;
  readonly content: ContentStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly ledger: Ledger;
}

const ACTIONS: readonly ((client: Client, repository: string) => Promise<void>)[] = [
  pushAny,
  pushAny,
  pushAny,
  build,
  retag,
  deleteTag,
  deleteManifest,
  undelete,
  async ({ registry, random }, repository) => {
    await registry.blobs.stat(repository, digestOf(random.pick(LAYERS)));
  },
];

export async function act(client: Client): Promise<void> {
  for (let left = 1 + client.random.below(3); left > 0; left--) {
    await client.random.pick(ACTIONS)(client, client.random.pick(REPOSITORIES));
  }
}

async function pushAny(client: Client, repository: string): Promise<void> {
  const { random } = client;
  const tags = random.chance(0.3) ? [] : [random.pick(TAGS)];
  await push(client, repository, random.pick(PUSHABLE), tags);
}

async function push(client: Client, repository: string, what: Image, tags: readonly string[]): Promise<void> {
  const { registry, ledger } = client;
  for (const child of what.children) {
    const known = await registry.manifests.stat(repository, child.manifest.digest);
    if (known === undefined) await push(client, repository, child, []);
  }
  for (const blob of what.blobs) await provide(client, repository, blob);
  await store(client, repository, what.manifest, tags, ledger.beginPush(repository, what.manifest.digest));
}

async function store(
  { registry }: Client,
  repository: string,
  { bytes, mediaType, digest }: Pick<TestManifest, 'bytes' | 'mediaType' | 'digest'>,
  tags: readonly string[],
  acknowledge: () => void,
): Promise<void> {
  await registry.manifests.put(repository, bytes, mediaType, { digest, tags });
  acknowledge();
}

/** As clients do: ask first, then try to mount, then upload in one request or in several. */
async function provide({ registry, random }: Client, repository: string, { digest, bytes }: TestBlob): Promise<void> {
  if ((await registry.blobs.stat(repository, digest)) !== undefined) return;
  const other = REPOSITORIES.find((name) => name !== repository);
  if (other !== undefined && random.chance(0.5) && (await registry.blobs.mount(other, repository, digest))) return;
  if (random.chance(0.5)) {
    await registry.uploads.put(repository, digest, stream(bytes));
    return;
  }
  const session = await registry.uploads.start(repository);
  await registry.uploads.append(repository, session, 0, stream(bytes));
  const result = await registry.uploads.commit(repository, session, digest);
  if (result.outcome !== 'committed') throw new Error(`a commit ended as ${result.outcome}`);
}

/** A builder keeps the layer for its cache, and links what it has when it exports. */
async function build(client: Client, repository: string): Promise<void> {
  const { registry, content, random, ledger } = client;
  const what = random.pick(PLAIN);
  for (const { bytes, digest } of what.blobs) {
    if ((await content.stat(digest)) === undefined) await content.putBytes(bytes, { expected: digest });
    await content.hold(digest, `STEP#${digest}`, { forMs: 3_600_000 });
  }
  for (const { digest } of what.blobs) await registry.linkBlob(repository, digest);
  const acknowledge = ledger.beginPush(repository, what.manifest.digest);
  await store(client, repository, what.manifest, [random.pick(TAGS)], acknowledge);
}

async function retag(client: Client, repository: string): Promise<void> {
  const { registry, random, ledger } = client;
  const digest = await registry.tagList.resolve(repository, random.pick(TAGS));
  const found = digest === undefined ? undefined : await registry.manifests.get(repository, digest);
  if (found === undefined) return;
  await store(client, repository, found, [random.pick(TAGS)], ledger.beginPush(repository, found.digest));
}

async function deleteTag({ registry, random }: Client, repository: string): Promise<void> {
  await tolerating(registry.deleteTag(repository, random.pick(TAGS)));
}

async function deleteManifest({ registry, random, ledger }: Client, repository: string): Promise<void> {
  const { digest } = random.pick(DELETABLE).manifest;
  const done = ledger.beginDelete(repository, digest);
  await tolerating(registry.deleteManifest(repository, digest));
  done();
}

async function undelete({ registry, random }: Client, repository: string): Promise<void> {
  await tolerating(registry.undelete(repository, random.pick(TAGS)));
}

/** What a client is rightly told when others were faster, or nothing was there. */
async function tolerating(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    const fine = ['NAME_UNKNOWN', 'MANIFEST_UNKNOWN', 'TAG_EXISTS'];
    if (!(error instanceof AppError) || !fine.includes(error.code)) throw error;
  }
}

export async function deleteEverything({ registry }: Pick<Client, 'registry'>): Promise<void> {
  for (const repository of REPOSITORIES) {
    for (const tag of TAGS) await tolerating(registry.deleteTag(repository, tag));
    for (const { manifest } of DELETABLE) await tolerating(registry.deleteManifest(repository, manifest.digest));
  }
}

export function contentOf(digest: Digest): Buffer | undefined {
  for (const { blobs } of PUSHABLE) {
    const found = blobs.find((blob) => blob.digest === digest);
    if (found !== undefined) return found.bytes;
  }
  return undefined;
}

async function* stream(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
