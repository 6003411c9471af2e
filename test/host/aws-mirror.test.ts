/** The copy of images to ECR: what is sent, what is not sent twice, and what happens when it cannot be. */
import { Readable } from 'node:stream';
import { ECRClient } from '@aws-sdk/client-ecr';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { EcrMirror } from '../../lib/host/aws/mirror.js';
import { type Digest, digestOf, MediaType } from '../../lib/oci/index.js';
import { silentLogger } from '../../lib/store/index.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
import { createTestImages, type TestImages } from '../fakes/images.js';
import { type EcrStandIn, startEcrStandIn } from '../fakes/account/ecr.js';
import { Wire } from '../protocol/registry/wire.js';

let store: TestStore;
let images: TestImages;
let ecr: EcrStandIn;
let client: ECRClient;
const sent: number[] = [];

beforeEach(async () => {
  [store, ecr] = await Promise.all([createTestStore(), startEcrStandIn()]);
  images = createTestImages(store.content);
  client = clientFor(ecr.endpoint);
  sent.length = 0;
});
afterEach(async () => {
  client.destroy();
  await Promise.all([store.close(), ecr.close()]);
});

function clientFor(endpoint: string): ECRClient {
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  return new ECRClient({ region: 'eu-central-1', endpoint, credentials, maxAttempts: 1 });
}

function mirror(content: Pick<TestStore['content'], 'open' | 'stat'> = store.content, budgetMs = 20_000): EcrMirror {
  const logger = {
    ...silentLogger,
    info: (_: string, fields?: object) => void sent.push((fields as { blobsSent: number }).blobsSent),
  };
  const deps = { ...store, ecr: client, images, content: content as TestStore['content'], logger };
  return new EcrMirror(deps, { prefix: 'wharf', budgetMs });
}

/** An image of these layers; they are stored once each. */
async function image(...layers: readonly string[]): Promise<Digest> {
  const config = Buffer.from(JSON.stringify({ architecture: 'arm64', os: 'linux', layers }));
  const described = await Promise.all(
    [config, ...layers.map((layer) => Buffer.from(layer))].map(async (bytes, index) => {
      const { digest } = await store.content.putBytes(bytes);
      return { mediaType: index === 0 ? MediaType.ociConfig : MediaType.ociLayer, digest, size: bytes.length };
    }),
  );
  const manifest = {
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    config: described[0],
    layers: described.slice(1),
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  return (await images.putManifest('team/app', bytes, MediaType.ociManifest, ['1'])).digest;
}

describe('the mirror to ECR', () => {
  test('names an image by where it then lies, to the byte', async () => {
    const digest = await image('base', 'app');
    const name = await mirror().nameImage('team/app', digest);
    expect(name).toBe(`${ecr.registry.host}/wharf/team/app@${digest}`);
    const copy = await new Wire(ecr.registry).send('GET', `/v2/wharf/team/app/manifests/${digest}`);
    expect(digestOf(copy.bytes)).toBe(digest);
    expect(sent).toEqual([3]);
  });

  test('sends only the layers that ECR lacks, and an image it has not at all', async () => {
    const mine = mirror();
    await mine.nameImage('team/app', await image('base', 'one'));
    const second = await image('base', 'two');
    await mine.nameImage('team/app', second);
    await mine.nameImage('team/app', second);
    expect(sent).toEqual([3, 2]);
  });

  test('leaves a copy that takes too long for the next try', async () => {
    const digest = await image('base');
    const stalled = {
      open: async () => new Readable({ read() {} }),
      stat: (blob: Digest) => store.content.stat(blob),
    };
    await expect(mirror(stalled, 100).nameImage('team/app', digest)).rejects.toMatchObject({
      code: 'IMAGE_MIRROR_UNFINISHED',
      retryable: true,
    });
    expect((await mirror().nameImage('team/app', digest)).endsWith(digest)).toBe(true);
  });

  test('leaves no manifest in ECR when a blob is gone from the store', async () => {
    const digest = await image('base');
    const empty = { open: async () => undefined, stat: async () => undefined };
    await expect(mirror(empty).nameImage('team/app', digest)).rejects.toMatchObject({
      code: 'BLOB_UNKNOWN',
      retryable: false,
    });
    const copy = await new Wire(ecr.registry).send('GET', `/v2/wharf/team/app/manifests/${digest}`);
    expect(copy.status).toBe(404);
  });

  test('says that ECR cannot be reached', async () => {
    const digest = await image('base');
    client.destroy();
    client = clientFor('http://127.0.0.1:9');
    await expect(mirror().nameImage('team/app', digest)).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      retryable: true,
    });
  });
});
