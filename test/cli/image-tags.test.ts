/** `wharf images push` to the registry of the CNCF with a password, and tags that are deleted and brought back. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { digestOf, MediaType } from '../../lib/oci/index.js';
import { RegistryClient } from '../../lib/registry/client/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { requireTools } from '../host-tools.js';
import {
  type CncfRegistry,
  startCncfRegistry,
  startCncfRegistryWithTokens,
} from '../protocol/registry/cncf-registry.js';
import { imageSet, type ImageSet, SetBuilder, type TestManifest } from '../protocol/registry/images.js';
import { type RunningRegistry, startTestRegistry } from '../protocol/registry/registry-server.js';
import { type CliFixture, createCliFixture, type Ran } from './cli-fixture.js';

const user = { username: 'ci', password: 'secret' };
let cli: CliFixture;
beforeAll(async () => {
  cli = await createCliFixture();
});
afterAll(() => cli.close());

const images = (...args: string[]): Promise<Ran> => cli.run(['images', ...args]);
const lines = ({ stdout }: Ran) =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

/** Puts the set into our registry; its last manifest. */
async function put(repository: string, tag: string, set: ImageSet): Promise<TestManifest> {
  const { registry, base } = cli.api;
  for (const { bytes } of set.blobs) {
    await registry.linkBlob(repository, (await base.store.content.putBytes(bytes)).digest);
  }
  const last = set.manifests.at(-1);
  if (last === undefined) throw new Error('the set has no manifest');
  for (const each of set.manifests) {
    await registry.putManifest(repository, each.bytes, each.mediaType, each === last ? [tag] : []);
  }
  return last;
}

requireTools('docker-registry', 'htpasswd', 'openssl').describe('a copy to the registry of the CNCF', () => {
  let other: CncfRegistry;
  let there: RegistryClient;
  beforeAll(async () => {
    other = await startCncfRegistry(user);
    there = new RegistryClient({ clock: systemClock }, { registry: other.host, insecure: true, credentials: user });
  });
  afterAll(() => other.close());

  test('without a login is refused before anything is sent, with one it arrives byte for byte', async () => {
    const set = imageSet('an image');
    const image = await put('team/app', 'v1', set);
    const refused = await images('push', 'team/app:v1', `${other.host}/copies/app:v1`);
    expect([refused.code === 0, refused.stderr]).toEqual([false, expect.stringContaining('answered 401')]);
    await cli.api.logins.put(other.host, user);
    const sent = await images('push', 'team/app:v1', `${other.host}/copies/app:v1`);
    expect(sent).toMatchObject({ code: 0, stdout: `${other.host}/copies/app:v1@${image.digest}\n` });
    expect(sent.stderr).toContain(`${set.blobs.length} blobs sent`);
    expect((await there.getManifest('copies/app', 'v1'))?.bytes.equals(image.bytes)).toBe(true);
    for (const { digest } of set.blobs) expect(await there.headBlob('copies/app', digest)).toBeDefined();
  });

  test('sends nothing a second time, mounts what another repository there has, and keeps the tag when none is said', async () => {
    const set = imageSet('an image');
    const again = lines(await images('push', 'team/app:v1', `${other.host}/copies/app:v2`, '--json'));
    expect(again.at(-1)).toMatchObject({ type: 'finished', blobsSent: 0, bytesSent: 0 });
    const mounted = lines(await images('push', 'team/app:v1', `${other.host}/elsewhere/app`, '--json'));
    expect(mounted.at(-1)).toMatchObject({
      blobsSent: 0,
      blobsMounted: set.blobs.length,
      to: `${other.host}/elsewhere/app:v1`,
    });
    expect(await there.headManifest('elsewhere/app', 'v1')).toBeDefined();
  });

  test('sends only the layer that is new', async () => {
    const set = imageSet('an uncompressed image');
    await put('team/next', 'v2', set);
    const first = set.blobs[0];
    if (first === undefined) throw new Error('no blob');
    await there.uploadBlob('copies/next', {
      digest: first.digest,
      sizeBytes: first.bytes.length,
      async *open() {
        yield first.bytes;
      },
    });
    const sent = lines(await images('push', 'team/next:v2', `${other.host}/copies/next`, '--json')).at(-1);
    expect(sent).toMatchObject({ blobsSent: set.blobs.length - 1, blobsThere: 1 });
  });

  test('takes all images of an index along', async () => {
    const set = imageSet('an index');
    const index = await put('team/multi', 'v1', set);
    expect((await images('push', 'team/multi:v1', `${other.host}/copies/multi`)).code).toBe(0);
    expect((await there.getManifest('copies/multi', 'v1'))?.digest).toBe(index.digest);
    for (const { digest } of set.manifests) expect(await there.headManifest('copies/multi', digest)).toBeDefined();
  });

  test('takes referrers and what is tagged with the digest along when asked, and lists them as such', async () => {
    const set = imageSet('a subject with referrers');
    const [subject] = set.manifests;
    if (subject === undefined) throw new Error('the set has no subject');
    await put('team/signed', 'unused', set);
    await cli.api.registry.putManifest('team/signed', subject.bytes, subject.mediaType, ['v1']);
    const signature = imageSet('an artifact without layers');
    const tag = `${subject.digest.replace(':', '-')}.sig`;
    const signed = await put('team/signed', tag, signature);

    expect((await images('push', 'team/signed:v1', `${other.host}/copies/signed`)).code).toBe(0);
    expect(await there.headManifest('copies/signed', tag)).toBeUndefined();
    for (const round of ['once', 'again']) {
      const ran = await images('push', '--referrers', 'team/signed:v1', `${other.host}/copies/signed`);
      expect([round, ran.code, ran.stderr]).toEqual([round, 0, expect.stringContaining('6 attached manifests')]);
      // This registry has no referrers API: a tag of the subject's digest is their list.
      const listed = await there.getManifest('copies/signed', subject.digest.replace(':', '-'));
      const { manifests } = JSON.parse(listed?.bytes.toString() ?? '') as { manifests: { digest: string }[] };
      const referrers = set.manifests.filter((each) => each.subject === subject.digest);
      expect(manifests.map(({ digest }) => digest).sort()).toEqual(referrers.map(({ digest }) => digest).sort());
      expect(manifests).toContainEqual(
        expect.objectContaining({
          artifactType: 'application/vnd.example.signature',
          mediaType: MediaType.ociManifest,
        }),
      );
    }
    expect((await there.headManifest('copies/signed', tag))?.digest).toBe(signed.digest);
  });

  describe('to a registry with a token service', () => {
    test('arrives where that refuses a token for the mount: the blobs are sent instead', async () => {
      const behind = await startCncfRegistryWithTokens(user);
      try {
        await cli.api.logins.put(behind.host, user);
        const { asked, refused } = behind.tokens;
        const copy = async (to: string) =>
          lines(await images('push', '--json', 'team/app:v1', `${behind.host}/${to}`)).at(-1);
        const set = imageSet('an image');
        expect(await copy('first/app')).toMatchObject({ type: 'finished', blobsSent: set.blobs.length });
        expect(await copy('second/app')).toMatchObject({ type: 'finished', blobsMounted: set.blobs.length });
        refused.add('first/app');
        asked.splice(0);
        expect(await copy('third/app')).toMatchObject({ type: 'finished', blobsSent: set.blobs.length });
        expect(asked.some((scope) => scope.includes('first/app'))).toBe(true);
        // What is refused for the push itself is refused.
        refused.add('fourth/app');
        const ran = await images('push', 'team/app:v1', `${behind.host}/fourth/app`);
        expect([ran.code === 0, ran.stderr]).toEqual([false, expect.stringContaining('not with these rights')]);
      } finally {
        await behind.close();
      }
    });
  });

  describe('to a registry with the referrers API', () => {
    let ours: RunningRegistry;
    beforeAll(async () => {
      ours = await startTestRegistry(cli.api.base.store);
      await cli.api.logins.put(ours.host, { username: 'x', password: ours.tokens.admin });
    });
    afterAll(() => ours.close());
    const finished = async (...args: string[]) => lines(await images('push', '--json', ...args)).at(-1);

    test('takes the referrers of an index and of its images along, without tags for them', async () => {
      const set = new SetBuilder('an index with referrers');
      const [child, other] = [set.image(), set.image()];
      const index = set.index([child, other]);
      const sbom = set.artifact({ subject: child });
      const signature = set.artifact({ subject: index });
      const signed = set.artifact({ subject: sbom });
      await put('team/attested', 'unused', set);
      const top = set.manifests[2];
      await cli.api.registry.putManifest('team/attested', top?.bytes ?? Buffer.of(), top?.mediaType ?? '', ['v1']);
      const to = `${ours.host}/copies/attested`;
      expect(await finished('--referrers', 'team/attested:v1', to)).toMatchObject({ type: 'finished', attached: 3 });
      for (const [subject, referrer] of [
        [child, sbom],
        [index, signature],
        [sbom, signed],
      ] as const) {
        const { descriptors } = await ours.registry.referrers.list('copies/attested', subject.digest);
        expect(descriptors.map(({ digest }) => digest)).toEqual([referrer.digest]);
      }
      expect((await ours.registry.tags('copies/attested'))?.map(({ tag }) => tag)).toEqual(['v1']);
    });

    test('leaves layers out that are fetched from elsewhere', async () => {
      const set = imageSet('non-distributable layers that are not pushed');
      await put('team/foreign', 'v1', set);
      const done = await finished('team/foreign:v1', `${ours.host}/copies/foreign`);
      expect(done).toMatchObject({ type: 'finished', blobsSent: set.blobs.length });
    });
  });

  test.each<[string, string, RegExp]>([
    ['absent/app:1', '127.0.0.1:1/x:1', /there is no image absent\/app:1/],
    ['team/app:v1', 'no/host:1', /no\/host:1 names no place at another registry/],
    ['team/app:v1', `127.0.0.1:1/x@${digestOf('x')}`, /names no place at another registry/],
    ['team/app:v1', '127.0.0.1:1/x:1', /127\.0\.0\.1:1 cannot be reached/],
  ])('%s to %s is refused with what is wrong', async (image, to, message) => {
    const ran = await images('push', image, to);
    expect([ran.code === 0, ran.stdout, ran.stderr]).toEqual([false, '', expect.stringMatching(message)]);
  });

  test('that fails midway says so with the failure of the other registry', async () => {
    const set = imageSet('an artifact');
    await put('team/lost', 'v1', set);
    for (const { digest } of set.blobs) {
      await cli.api.base.store.records.delete({ partition: `BLOB#${digest}`, sort: '-' });
    }
    const ran = await images('push', 'team/lost:v1', `${other.host}/copies/lost`);
    expect([ran.code === 0, ran.stderr]).toEqual([false, expect.stringContaining('is not in the store')]);
    expect(await there.headManifest('copies/lost', 'v1')).toBeUndefined();
  });
});

describe('tags over time', () => {
  test('a deleted tag is seen in its history and brought back', async () => {
    const first = await put('history/app', 'v1', imageSet('an image'));
    const second = await put('history/app', 'v1', imageSet('an uncompressed image'));
    expect(await images('rm', 'history/app:v1')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('wharf images undelete history/app:v1'),
    });
    expect(await cli.api.registry.tags('history/app')).toEqual([]);
    const history = await images('history', 'history/app:v1');
    expect(history.stdout.split('\n').map((line) => line.trim().split(/ +/)[1])).toEqual([
      'POINTED',
      'deleted',
      second.digest,
      first.digest,
      undefined,
    ]);
    expect((await images('undelete', 'history/app:v1')).stdout).toBe(`history/app:v1 is ${second.digest}\n`);
    expect(await images('undelete', 'history/app:v1')).toMatchObject({
      code: 5,
      stderr: expect.stringContaining('digest'),
    });
    const back = await images('undelete', 'history/app:v1', '--digest', first.digest, '--json');
    expect(JSON.parse(back.stdout)).toEqual({ repository: 'history/app', tag: 'v1', digest: first.digest });
    expect(await cli.api.registry.tags('history/app')).toMatchObject([{ tag: 'v1', digest: first.digest }]);
  });

  test.each<[readonly string[], RegExp]>([
    [['history', 'history/none:v1'], /there is and was no tag history\/none:v1/],
    [['rm', 'history/none:v1'], /there is no repository history\/none/],
    [['undelete', 'history/app:v9'], /has no manifest v9/],
    [['undelete', 'history/app:v1', '--digest', 'sha256:1'], /is not sha256:<64 hex digits>/],
    [['rm', 'ghcr.io/x:1'], /names no tag of this registry/],
  ])('%j says what is wrong', async (args, message) => {
    const ran = await images(...args);
    expect([ran.code === 0, ran.stderr]).toEqual([false, expect.stringMatching(message)]);
  });
});
