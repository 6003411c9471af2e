/** `wharf build -o`: what was built, beside the registry or instead of it. */
import { lstat, mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { BuildResult } from '../../lib/build/index.js';
import { parseOutput, readOutputs } from '../../lib/cli/build-output.js';
import { writeFolder } from '../../lib/cli/write-folder.js';
import { type TarMember, writeLayer, writeTar } from '../../lib/layers/index.js';
import { type Digest, digestOf, MediaType } from '../../lib/oci/index.js';
import { directory, file } from '../layers/members.js';
import { type CliFixture, createAppFixture, type Ran } from './cli-fixture.js';

let cli: CliFixture;
beforeAll(async () => {
  cli = await createAppFixture();
});
afterAll(() => cli.close());

const link = (path: string, linkTarget: string): TarMember => {
  const { entry, body } = file(path, '');
  return { entry: { ...entry, type: 'symlink', linkTarget }, body };
};

/** An image of one layer that nothing but the build names. */
async function image(): Promise<BuildResult> {
  const { content } = cli.api.base.store;
  const members = [
    directory('bin'),
    file('bin/run', 'run', { mode: 0o755, mtimeSeconds: 1_700_000_000 }),
    link('entry', 'bin/run'),
  ];
  const layer = await writeLayer(members, { content });
  const put = async (document: object): Promise<Buffer> => {
    const bytes = Buffer.from(JSON.stringify(document));
    await content.putBytes(bytes);
    return bytes;
  };
  const rootfs = { type: 'layers', diff_ids: [layer.diffId] };
  const config = await put({ os: 'linux', architecture: 'amd64', rootfs });
  const imageId = digestOf(config);
  const manifest = await put({
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    config: { mediaType: MediaType.ociConfig, digest: imageId, size: config.length },
    layers: [layer.descriptor],
  });
  return { digest: digestOf(manifest), imageId, tags: [], layers: [layer.descriptor], steps: [], stepsCached: 0 };
}

async function built(args: readonly string[], result: BuildResult): Promise<Ran> {
  const { builds } = cli.api;
  const before = builds.submitted.length;
  const running = cli.run(['build', 'app', ...args]);
  await cli.api.base.until('it was submitted', () => builds.submitted.length > before);
  const id = (await builds.list({ limit: 1 })).builds[0]?.id ?? '';
  builds.tell(id, { type: 'finished', status: 'succeeded', result });
  return running;
}

test('an image without a name becomes a folder, and tars of each kind, all in one build', async () => {
  const result = await image();
  const layout = ['-o', 'type=oci,dest=layout,tar=false'];
  const tars = ['-o', 'type=oci,dest=a.oci', '-o', 'type=docker,dest=a.docker', '-o', 'type=tar,dest=a.tar'];
  const ran = await built(['-o', 'out', ...layout, ...tars], result);
  expect([ran.code, ran.stdout]).toEqual([0, `${result.digest}\n`]);
  const out = join(cli.folder, 'out');
  expect(await readdir(out)).toEqual(['bin', 'entry']);
  expect(await readFile(join(out, 'entry'), 'utf8')).toBe('run');
  expect(await readlink(join(out, 'entry'))).toBe('bin/run');
  const { mode, mtimeMs } = await stat(join(out, 'bin/run'));
  expect([mode & 0o7777, mtimeMs]).toEqual([0o755, 1_700_000_000_000]);
  const index = JSON.parse(await readFile(join(cli.folder, 'layout', 'index.json'), 'utf8')) as {
    manifests: { digest: Digest }[];
  };
  expect(index.manifests.map(({ digest }) => digest)).toEqual([result.digest]);
  for (const name of ['a.oci', 'a.docker', 'a.tar']) {
    const { size } = await stat(join(cli.folder, name));
    expect([size > 1024, size % 512]).toEqual([true, 0]);
  }
});

test.each([
  ['nowhere/app.tar', /nowhere: ENOENT/],
  ['taken', /it is a folder/],
])('a tar as %s is refused before anything is built', async (dest, why) => {
  await mkdir(join(cli.folder, 'taken'), { recursive: true });
  const before = cli.api.builds.submitted.length;
  const ran = await cli.run(['build', 'app', '-o', `type=oci,dest=${dest}`]);
  expect([ran.code, ran.stdout]).toEqual([2, '']);
  expect(ran.stderr).toMatch(why);
  expect(ran.stderr).toContain('OUTPUT_UNWRITABLE');
  expect(cli.api.builds.submitted.length).toBe(before);
});

test('a build that made no image has none to give', async () => {
  const ran = await cli.run(['build', 'app', '-o', 'type=image']);
  expect(ran.code).not.toBe(0);
  expect(ran.stderr).toMatch(/-t <name>/);
});

describe('an output', () => {
  test.each([
    ['out', { type: 'local', destination: 'out', unpacked: true }],
    ['-', { type: 'tar', destination: '-', unpacked: false }],
    ['type=local,dest=out', { type: 'local', destination: 'out', unpacked: true }],
    ['type=docker', { type: 'docker', destination: '-', unpacked: false }],
    ['type=oci,"dest=a,b"', { type: 'oci', destination: 'a,b', unpacked: false }],
    ['type=oci,tar=false,dest=l', { type: 'oci', destination: 'l', unpacked: true }],
    [
      'type=local,dest=out,platform-split=false,attestation-prefix=app.',
      {
        type: 'local',
        destination: 'out',
        unpacked: true,
        root: { platformSplit: 'false', attestationPrefix: 'app.' },
      },
    ],
  ])('%s', (text, expected) => {
    expect(parseOutput(text)).toEqual(expected);
  });

  test.each([
    ['type=local', /dest is missing/],
    ['type=oci,tar=false', /dest is missing/],
    ['type=registry,dest=a', /"dest" is not known/],
    ['type=oci,dest=a,compression=rar', /not gzip, zstd or uncompressed/],
    ['type=oci,dest=a,compression-level=3', /without compression/],
    ['type=image,name=a,push=false', /pushed nowhere/],
    ['type=image,name=a,rewrite-timestamp=false', /always rewritten/],
    ['type=zip,dest=a', /type is not known/],
    ['type=oci,dest=a,platform-split=false', /"platform-split" is not known/],
    ['type=tar,dest=a,platform-split=maybe', /true or false/],
    ['type=local,dest=a,attestation-prefix=../', /has a slash/],
    ['type=local,dest=a,compression=zstd', /"compression" is not known/],
    ['type=docker,tar=false,dest=a', /always one tar/],
  ])('%s is refused', (text, message) => {
    expect(() => parseOutput(text)).toThrow(message);
  });
});

describe('what an output says of the image', () => {
  const input = (
    outputs: readonly string[],
    more: object = {},
  ): { tags: readonly string[]; outputs: readonly string[] } => ({
    tags: ['a:1'],
    outputs,
    ...more,
  });

  test.each<[string, object]>([
    ['type=image,name=team/app:1,push=true', { tags: ['a:1', 'team/app:1'] }],
    ['type=registry,"name=b:1,c:2",rewrite-timestamp=true', { tags: ['a:1', 'b:1', 'c:2'] }],
    [
      'type=oci,dest=x.tar,compression=zstd,compression-level=3,force-compression=true',
      { tags: ['a:1'], compression: 'zstd:3', forceCompression: true },
    ],
    [
      'type=docker,dest=x.tar,oci-mediatypes=false,compression=uncompressed',
      { tags: ['a:1'], mediaTypes: 'docker', compression: 'none' },
    ],
  ])('%s is asked of the build', (text, expected) => {
    const read = readOutputs(input([text]));
    expect(read.input).toEqual({ outputs: [text], ...expected });
    expect(read.outputs).toHaveLength(1);
  });

  test('of an image needs a name, by an option or its own', () => {
    expect(() => readOutputs({ tags: [], outputs: ['type=image'] })).toThrow(/-t <name>/);
    expect(readOutputs({ tags: [], outputs: ['type=image,name=a'] }).input.tags).toEqual(['a']);
  });

  test('gives way to an option, and must be one thing', () => {
    const zstd = 'type=oci,dest=a,compression=zstd';
    expect(readOutputs(input([zstd], { compression: 'gzip:9' })).input).toMatchObject({ compression: 'gzip:9' });
    expect(() => readOutputs(input([zstd, 'type=docker,dest=b,compression=gzip']))).toThrow(
      /two outputs want another compression/,
    );
  });
});

describe('a folder that is written', () => {
  const into = (name: string): string => join(cli.folder, name);

  test('takes the place of files that are there, and keeps others', async () => {
    await mkdir(into('there/d'), { recursive: true });
    await writeFile(into('there/d/old'), 'old');
    await writeFile(into('there/d/f'), 'before');
    await symlink('/etc/passwd', into('there/l'));
    await writeFolder(writeTar([directory('d'), file('d/f', 'after'), file('l', 'not passwd')]), into('there'));
    expect(await readFile(into('there/d/f'), 'utf8')).toBe('after');
    expect(await readFile(into('there/d/old'), 'utf8')).toBe('old');
    expect((await lstat(into('there/l'))).isFile()).toBe(true);
  });

  test.each<[string, TarMember[]]>([
    ['a link of the tar', [link('d', '../elsewhere'), file('d/f', 'x')]],
    ['a link that lies there', [file('planted/f', 'x')]],
    ['a folder where a link lies', [directory('planted')]],
    [
      'a hard link through a link',
      [{ ...file('h', ''), entry: { ...file('h', '').entry, type: 'hardlink', linkTarget: 'planted/secret' } }],
    ],
  ])('is not left through %s', async (name, members) => {
    const root = into(`unsafe-${name.replaceAll(' ', '-')}`);
    await mkdir(root);
    await mkdir(into('elsewhere'), { recursive: true });
    await writeFile(into('elsewhere/secret'), 'secret');
    await symlink('../elsewhere', join(root, 'planted'));
    await expect(writeFolder(writeTar(members), root)).rejects.toMatchObject({ code: 'OUTPUT_IN_THE_WAY' });
    expect(await readdir(into('elsewhere'))).toEqual(['secret']);
  });

  test('has no devices and pipes', async () => {
    const pipe = { ...file('p', ''), entry: { ...file('p', '').entry, type: 'fifo' as const } };
    expect(await writeFolder(writeTar([file('a', 'a'), pipe]), into('plain'))).toBe(1);
    expect(await readdir(into('plain'))).toEqual(['a']);
  });
});
