/** `wharf build --output`: what is written on this machine, and what is refused before anything is built. */
import { lstat, mkdir, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { BuildResult } from '../../lib/build/index.js';
import { type TarMember, writeLayer } from '../../lib/layers/index.js';
import { type Digest, digestOf, MediaType } from '../../lib/oci/index.js';
import { device, directory, file, symlink } from '../layers/members.js';
import { type CliFixture, createCliFixture, type Ran } from './cli-fixture.js';

let cli: CliFixture;
let one: BuildResult;

beforeAll(async () => {
  cli = await createCliFixture();
  await mkdir(join(cli.folder, 'app'));
  await writeFile(join(cli.folder, 'app', 'Dockerfile'), 'FROM scratch\n');
  const { digest } = await image('1', [
    device('null', 'char', 1, 3),
    directory('dir', { mode: 0o750 }),
    file('dir/run', 'go', { mode: 0o755, uid: 1234 }),
    symlink('dir/up', '../../../etc'),
  ]);
  one = { digest, imageId: digest, tags: ['team/app:1'], layers: [], steps: [], stepsCached: 0 };
});
afterAll(() => cli.close());

/** An image of one layer in the registry. */
async function image(tag: string, members: readonly TarMember[]): Promise<{ digest: Digest; size: number }> {
  const { base } = cli.api;
  const layer = await writeLayer(members, { content: base.store.content });
  const config = Buffer.from(
    JSON.stringify({ os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: [layer.diffId] } }),
  );
  await base.store.content.putBytes(config);
  await base.images.linkBlob('team/app', digestOf(config));
  await base.images.linkBlob('team/app', layer.descriptor.digest);
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: { mediaType: MediaType.ociConfig, digest: digestOf(config), size: config.length },
      layers: [layer.descriptor],
    }),
  );
  await base.images.putManifest('team/app', manifest, MediaType.ociManifest, [tag]);
  return { digest: digestOf(manifest), size: manifest.length };
}

async function building(args: readonly string[], result: BuildResult): Promise<Ran> {
  const { builds } = cli.api;
  const before = builds.submitted.length;
  const running = cli.run(['build', 'app', '-t', 'team/app:1', ...args]);
  await cli.api.base.until('it was submitted', () => builds.submitted.length > before);
  const id = (await builds.list({ limit: 1 })).builds[0]?.id ?? '';
  builds.tell(id, { type: 'finished', status: 'succeeded', result });
  return running;
}

test('a folder gets the files with modes and links as data; devices stay out, owners are whose folder it is', async () => {
  expect(await building(['-o', 'out'], one)).toMatchObject({ code: 0, stdout: `team/app:1@${one.digest}\n` });
  const out = join(cli.folder, 'out');
  expect((await readdir(out, { recursive: true })).sort()).toEqual(['dir', 'dir/run', 'dir/up']);
  expect(await readlink(join(out, 'dir/up'))).toBe('../../../etc');
  const run = await lstat(join(out, 'dir/run'));
  expect([run.mode & 0o7777, run.uid, (await stat(join(out, 'dir'))).mode & 0o7777]).toEqual([
    0o755,
    process.getuid?.(),
    0o750,
  ]);
  // What is there stays, what has the same name is replaced.
  await writeFile(join(out, 'mine'), 'mine');
  await writeFile(join(out, 'dir/run'), 'old');
  await building(['-o', 'type=local,dest=out'], one);
  expect(await readFile(join(out, 'dir/run'), 'utf8')).toBe('go');
  expect(await readFile(join(out, 'mine'), 'utf8')).toBe('mine');
});

test('several platforms get a folder each', async () => {
  const { digest, size } = await image('arm', [file('arch', 'arm64')]);
  const manifests = [
    { mediaType: MediaType.ociManifest, digest: one.digest, size: 1, platform: { os: 'linux', architecture: 'amd64' } },
    { mediaType: MediaType.ociManifest, digest, size, platform: { os: 'linux', architecture: 'arm64' } },
  ];
  const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests }));
  await cli.api.base.images.putManifest('team/app', index, MediaType.ociIndex, ['both']);
  const platforms = ['linux/amd64', 'linux/arm64'].map((platform) => ({
    platform,
    digest,
    imageId: digest,
    layers: [],
  }));
  await building(['-o', 'both'], { ...one, digest: digestOf(index), platforms });
  expect(await readFile(join(cli.folder, 'both/linux_amd64/dir/run'), 'utf8')).toBe('go');
  expect(await readFile(join(cli.folder, 'both/linux_arm64/arch'), 'utf8')).toBe('arm64');
});

test.each(['tar', 'oci', 'docker'])('type=%s is a file that is whole', async (type) => {
  const { code, stderr } = await building(['-o', `type=${type},dest=image.tar`], one);
  expect([code, stderr]).toEqual([0, expect.stringContaining('image.tar')]);
  expect((await stat(join(cli.folder, 'image.tar'))).size % 512).toBe(0);
  await rm(join(cli.folder, 'image.tar'));
});

describe('is refused before anything is built', () => {
  test.each([
    [['-t', 'a', '-o', 'type=zip,dest=x'], /type "zip"/],
    [['-t', 'a', '-o', 'type=oci'], /names no place/],
    [['-t', 'a', '-o', 'type=local,dest=-'], /names no place/],
    [['-t', 'a', '-o', 'type=oci,dest=x,tar=false'], /"tar"/],
    [['-t', 'a', '-o', '-', '--json'], /standard output/],
    [['-t', 'a', '-o', 'type=docker,dest=x', '--platform', 'linux/amd64,linux/arm64'], /one platform/],
    [['-o', 'out'], /has no name/],
  ])('%j', async (args, message) => {
    const before = cli.api.builds.submitted.length;
    const { code, stderr } = await cli.run(['build', 'app', ...args]);
    expect([code, cli.api.builds.submitted.length]).toEqual([2, before]);
    expect(stderr).toMatch(message);
  });
});
