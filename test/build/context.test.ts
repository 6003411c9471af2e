import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { BuildContext } from '../../lib/build/index.js';
import { parseIgnore } from '../../lib/dockerfile/index.js';
import { compress, writeTar } from '../../lib/layers/index.js';
import { buildFixture, type BuildFixture, failure, type Files, membersOf, textOf } from './fixture.js';

let f: BuildFixture;
beforeAll(async () => {
  f = await buildFixture();
});
afterAll(() => f.close());

const open = async (files: Files): Promise<BuildContext> => BuildContext.open(f.store.content, await f.context(files));
const names = (context: BuildContext): string[] => [...context.tree.walk()].map(({ path }) => path);

describe('a build context', () => {
  test('is read from a plain and a compressed tar alike', async () => {
    const files = { Dockerfile: 'FROM scratch\nCOPY a /', a: 'zipped' };
    const { digest } = await f.store.content.put(compress('gzip')(writeTar(membersOf(files))));
    const zipped = await BuildContext.open(f.store.content, digest);
    expect(await zipped.text('Dockerfile')).toBe(files.Dockerfile);
    expect(await textOf(zipped.tree, 'a')).toBe('zipped');
    const plain = await f.build(files, { tags: [] });
    const again = await f.build({}, { context: digest, tags: [] });
    expect(again.result.digest).toBe(plain.result.digest);
  });

  test('is without what the ignore file names, keeping folders of what comes back', async () => {
    const context = await open({ 'a/': {}, 'a/x.log': '1', 'a/keep.log': '2', 'b/': {}, 'b/y.log': '3', c: '4' });
    const rest = context.without(parseIgnore('*\n!c\n!a/keep.log'));
    expect(names(rest)).toEqual(['a', 'a/keep.log', 'c']);
    expect([...rest.keptPaths()]).toEqual(['a/keep.log', 'c']);
    expect(['a', 'b', 'c', 'a/keep.log'].map((path) => rest.ignores(path))).toEqual([true, true, false, false]);
    expect(names(context.without(parseIgnore('**/*.log\n!a/keep.log')))).toEqual(['a', 'a/keep.log', 'b', 'c']);
  });

  test('keeps the content of a hard link whose first name is ignored', async () => {
    const rest = (await open({ a: 'shared', b: { hardlink: 'a' }, c: { hardlink: 'a' } })).without(parseIgnore('a'));
    expect(await textOf(rest.tree, 'b')).toBe('shared');
    const [b, c] = [rest.tree.exact('b'), rest.tree.exact('c')];
    expect(b?.inode).toBe(c?.inode);
    expect(b && rest.tree.sha256(b)).toBe(createHash('sha256').update('shared').digest('hex'));
  });

  test('still gives the Dockerfile and the ignore file to the builder when they are ignored', async () => {
    const { result } = await f.build({ Dockerfile: 'FROM scratch\nCOPY . /', '.dockerignore': '*\n!z', z: 'z' });
    expect([...(await f.tree(result.digest)).walk()].map(({ path }) => path)).toEqual(['z']);
  });

  test('uses the ignore file of the Dockerfile before the common one', async () => {
    const files = {
      'sub/': {},
      'sub/My.Dockerfile': 'FROM scratch\nCOPY . /',
      'sub/My.Dockerfile.dockerignore': 'sub\n.dockerignore\nb',
      '.dockerignore': 'a',
      a: 'a',
      b: 'b',
    };
    const { result } = await f.build(files, { dockerfile: 'sub/My.Dockerfile' });
    expect([...(await f.tree(result.digest)).walk()].map(({ path }) => path)).toEqual(['a']);
  });

  test.each<[string, Files, RegExp]>([
    ['climbs', { '../evil': 'x' }, /evil/],
    ['is absolute', { '/etc/passwd': 'x' }, /passwd/],
    ['lies behind a link that leads out', { l: { symlink: '../..' }, 'l/etc/passwd': 'x' }, /etc\/passwd/],
    ['lies behind a link', { d: { symlink: 'e' }, 'd/x': 'x' }, /d\/x/],
  ])('is refused with the entry that %s', async (_, files, name) => {
    const error = await failure(open(files));
    expect(error.code).toMatch(/^TAR_UNSAFE/);
    expect(error.message).toMatch(name);
  });

  describe('with links that point out of it', () => {
    const links: Files = {
      'etc/': {},
      'etc/hostname': 'of the context',
      absolute: { symlink: '/etc/hostname' },
      climbing: { symlink: '../../../../etc/hostname' },
      folder: { symlink: '/../..' },
      dangling: { symlink: '/proc/self/environ' },
      loop: { symlink: 'loop' },
    };
    const copied = async (instruction: string): Promise<string[]> => {
      const { result } = await f.build({ ...links, Dockerfile: `FROM scratch\n${instruction}` });
      const tree = await f.tree(result.digest);
      const seen: string[] = [];
      for (const { path, type, linkTarget } of tree.walk()) {
        seen.push(type === 'file' ? `${path}: ${await textOf(tree, path)}` : `${path} ${linkTarget ?? type}`);
      }
      return seen;
    };

    test('copies them as they are', async () => {
      const Dockerfile = { Dockerfile: 'FROM scratch\nCOPY . /', '.dockerignore': 'Dockerfile\n.dockerignore\netc' };
      const { result } = await f.build({ ...links, ...Dockerfile });
      const found = [...(await f.tree(result.digest)).walk()].map(({ path, linkTarget }) => `${path} -> ${linkTarget}`);
      expect(found).toEqual([
        'absolute -> /etc/hostname',
        'climbing -> ../../../../etc/hostname',
        'dangling -> /proc/self/environ',
        'folder -> /../..',
        'loop -> loop',
      ]);
    });

    test('follows them inside the context only', async () => {
      expect(await copied('COPY absolute /a')).toEqual(['a: of the context']);
      expect(await copied('COPY climbing /a')).toEqual(['a: of the context']);
      expect(await copied('COPY folder/etc/hostname /a')).toEqual(['a: of the context']);
    });

    test.each([
      ['dangling', 'BUILD_COPY_SOURCE_MISSING'],
      ['loop', 'SYMLINK_LOOP'],
    ])('finds nothing behind %s', async (name, code) => {
      const error = await failure(f.build({ ...links, Dockerfile: `FROM scratch\nCOPY ${name} /a` }));
      expect([error.code, error.details?.['line']]).toEqual([code, 2]);
      if (name === 'dangling') expect(error.message).toContain('is a link to "/proc/self/environ", which is not there');
    });

    test.each<[string, Files, string]>([
      ['a folder', { 'Dockerfile/': {} }, 'Dockerfile of the build context is a folder'],
      [
        'a link to nothing',
        { Dockerfile: { symlink: '/etc/passwd' } },
        'is a link to "/etc/passwd", which is not there',
      ],
    ])('has no Dockerfile where %s stands', async (_, files, message) => {
      const error = await failure(f.build(files));
      expect([error.code, error.message]).toEqual(['BUILD_DOCKERFILE_MISSING', expect.stringContaining(message)]);
    });
  });

  test('may have its Dockerfile in lower case, with an ignore file of that name', async () => {
    const Dockerfile = 'FROM scratch\nCOPY . /';
    const built = await f.build(
      { 'x/dockerfile': Dockerfile, 'x/dockerfile.dockerignore': 'x', a: 'a' },
      { dockerfile: 'x/Dockerfile' },
    );
    expect([...(await f.tree(built.result.digest)).walk()].map(({ path }) => path)).toEqual(['a']);
    expect((await failure(f.build({ 'other.dockerfile': Dockerfile }, { dockerfile: 'Other.dockerfile' }))).code).toBe(
      'BUILD_DOCKERFILE_MISSING',
    );
  });

  test('must be there, be a tar, and have the Dockerfile', async () => {
    expect((await failure(BuildContext.open(f.store.content, `sha256:${'1'.repeat(64)}` as never))).code).toBe(
      'CONTEXT_UNKNOWN',
    );
    const { digest } = await f.store.content.putBytes(Buffer.from('this is no tar'.repeat(100)));
    expect((await failure(BuildContext.open(f.store.content, digest))).code).toBe('COMPRESSION_UNKNOWN');
    const error = await failure(f.build({ 'Dockerfile.prod': 'FROM scratch' }));
    expect([error.code, error.hint]).toEqual(['BUILD_DOCKERFILE_MISSING', 'did you mean Dockerfile.prod?']);
  });
});
