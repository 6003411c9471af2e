import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openArchive } from '../../lib/build/steps/archive.js';
import { compress, ImageTree, writeTar } from '../../lib/layers/index.js';
import { writtenLayer } from '../layers/members.js';
import {
  BASE_TIME,
  buildFixture,
  type BuildFixture,
  failure,
  type Files,
  membersOf,
  type Spec,
  textOf,
} from './fixture.js';

let f: BuildFixture;
beforeAll(async () => {
  f = await buildFixture();
  await f.push('base', {
    'etc/': {},
    'etc/passwd': 'root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n',
    'etc/group': 'root:x:0:\nstaff:x:50:\n',
    'app/': { mode: 0o700, uid: 5, gid: 6 },
    'app/old.txt': 'old',
    'var/': {},
    'var/run': { symlink: '/run' },
    'run/': {},
    link: { symlink: 'app' },
    one: 'x',
    two: { hardlink: 'one' },
  });
});
afterAll(() => f.close());

const layers = async (dockerfile: string, files: Files = {}): Promise<string[][]> => {
  const { result } = await f.build({ Dockerfile: dockerfile, ...files });
  const own = result.layers.slice(dockerfile.includes('FROM scratch') ? 0 : 1);
  return Promise.all(
    own.map(async ({ digest }) =>
      (await f.layer(digest)).map(
        (e) => `${e.path} ${e.type} ${e.mode} ${e.owner}${e.link === undefined ? '' : ` -> ${e.link}`}`,
      ),
    ),
  );
};

describe('COPY', () => {
  test('puts a file where a name without slash says, with its mode, owned by root', async () => {
    const [layer] = await layers('FROM scratch\nCOPY a.txt /x/y.txt', {
      'a.txt': { content: 'a', mode: 0o600, uid: 7, gid: 8 },
    });
    expect(layer).toEqual(['x directory 755 0:0', 'x/y.txt file 600 0:0']);
  });

  test('puts a file into a destination that ends with a slash or is a folder', async () => {
    const got = await layers('FROM base\nCOPY a.txt /new/\nCOPY a.txt /app', { 'a.txt': 'a' });
    expect(got).toEqual([
      ['new directory 755 0:0', 'new/a.txt file 644 0:0'],
      ['app directory 700 5:6', 'app/a.txt file 644 0:0'],
    ]);
  });

  test('copies what is in a folder, not the folder, and leaves the destination its mode and owner', async () => {
    const got = await layers('FROM base\nCOPY src /app', {
      'src/': { mode: 0o711 },
      'src/a.txt': 'a',
      'src/sub/': { mode: 0o750 },
      'src/sub/b.txt': 'b',
    });
    expect(got).toEqual([
      ['app directory 700 5:6', 'app/a.txt file 644 0:0', 'app/sub directory 750 0:0', 'app/sub/b.txt file 644 0:0'],
    ]);
  });

  test('keeps the time of files and gives folders it makes the time of what was there before', async () => {
    const { result } = await f.build({
      Dockerfile: 'FROM base\nCOPY a.txt /new/',
      'a.txt': { content: 'dated', mtime: 1_700_000_000 },
    });
    const entries = await f.layer(result.layers[1]?.digest ?? ('' as never));
    expect(entries.map((e) => [e.path, e.mtime])).toEqual([
      ['new', BASE_TIME],
      ['new/a.txt', 1_700_000_000],
    ]);
  });

  test('follows links in the destination inside the image', async () => {
    const got = await layers('FROM base\nCOPY a.txt /var/run/deep/\nCOPY a.txt /link/b', { 'a.txt': 'a' });
    expect(got).toEqual([
      ['run directory 755 0:0', 'run/deep directory 755 0:0', 'run/deep/a.txt file 644 0:0'],
      ['app directory 700 5:6', 'app/b file 644 0:0'],
    ]);
  });

  test('copies links below a source as links and follows a source that is one', async () => {
    const files = { 'src/': {}, 'src/l': { symlink: 'a' }, 'src/a': 'a', top: { symlink: 'src/a' } };
    const got = await layers('FROM scratch\nCOPY src /d/\nCOPY top /e', files);
    expect(got).toEqual([['d directory 755 0:0', 'd/a file 644 0:0', 'd/l symlink 777 0:0 -> a'], ['e file 644 0:0']]);
  });

  test('keeps hard links of one source together', async () => {
    const got = await layers('FROM scratch\nCOPY src /d/', {
      'src/': {},
      'src/a': 'same',
      'src/b': { hardlink: 'src/a' },
    });
    expect(got).toEqual([['d directory 755 0:0', 'd/a file 644 0:0', 'd/b hardlink 644 0:0 -> d/a']]);
  });

  test('matches patterns as filepath.Match and several sources into a folder', async () => {
    const files = { 'a1.txt': '1', 'a2.txt': '2', 'b.md': '3', 'sub/': {}, 'sub/a3.txt': '4' };
    expect(await layers('FROM scratch\nCOPY a?.txt b.md /d/', files)).toEqual([
      ['d directory 755 0:0', 'd/a1.txt file 644 0:0', 'd/a2.txt file 644 0:0', 'd/b.md file 644 0:0'],
    ]);
    expect(await layers('FROM scratch\nCOPY */a[3-9].txt /d/', files)).toEqual([
      ['d directory 755 0:0', 'd/a3.txt file 644 0:0'],
    ]);
  });

  test('applies --chown by name of the target image and --chmod, also to folders on the way', async () => {
    const got = await layers(
      'FROM base\nCOPY --chown=app:staff --chmod=640 a.txt /n/m/\nCOPY --chown=12 --chmod=u=rwX,go= src /s',
      {
        'a.txt': 'a',
        'src/': {},
        'src/x': { content: 'x', mode: 0o755 },
        'src/y': 'y',
      },
    );
    expect(got).toEqual([
      ['n directory 640 1000:50', 'n/m directory 640 1000:50', 'n/m/a.txt file 640 1000:50'],
      ['s directory 755 12:12', 's/x file 700 12:12', 's/y file 600 12:12'],
    ]);
  });

  test('leaves out what --exclude names', async () => {
    const got = await layers('FROM scratch\nCOPY --exclude=**/*.log --exclude=tmp src /d/', {
      'src/': {},
      'src/a': 'a',
      'src/b.log': 'b',
      'src/tmp/': {},
      'src/tmp/c': 'c',
      'src/sub/': {},
      'src/sub/d.log': 'd',
    });
    expect(got).toEqual([['d directory 755 0:0', 'd/a file 644 0:0', 'd/sub directory 755 0:0']]);
  });

  test('writes heredocs as files, with variables unless the mark is quoted', async () => {
    const { result } = await f.build({
      Dockerfile: 'FROM scratch\nARG WHO=you\nCOPY <<a <<"b" /d/\nhello ${WHO}\na\nhello ${WHO}\nb\n',
    });
    const tree = await f.tree(result.digest);
    expect([await textOf(tree, '/d/a'), await textOf(tree, '/d/b')]).toEqual(['hello you\n', 'hello ${WHO}\n']);
  });

  test('takes files from stages and images, by name and number, with modes and owners', async () => {
    const got = await layers(
      'FROM scratch AS files\nCOPY --chown=3:4 --chmod=4755 a.txt /f/a\nFROM scratch\nCOPY --from=files /f /g\nCOPY --from=0 /f/a /h\nCOPY --from=base /app/old.txt /i',
      { 'a.txt': 'a' },
    );
    expect(got).toEqual([['g directory 755 0:0', 'g/a file 4755 3:4'], ['h file 4755 3:4'], ['i file 644 0:0']]);
  });

  test('replaces a file and writes only what changed', async () => {
    const { result } = await f.build({ Dockerfile: 'FROM base\nCOPY new /app/old.txt\nCOPY new /two', new: 'new' });
    const tree = await f.tree(result.digest);
    expect(await textOf(tree, 'app/old.txt')).toBe('new');
    expect(await textOf(tree, 'two')).toBe('new');
    expect(await textOf(tree, 'one')).toBe('x');
  });

  test.each([
    ['COPY missing.txt /', 'BUILD_COPY_SOURCE_MISSING', /"missing.txt" is not in the build context/],
    ['COPY a.tx /', 'BUILD_COPY_SOURCE_MISSING', /./],
    ['COPY secret /', 'BUILD_COPY_SOURCE_MISSING', /because .dockerignore excludes it/],
    ['COPY --from=base /nothing /', 'BUILD_COPY_SOURCE_MISSING', /nothing/],
    ['COPY a.txt b.txt /dest', 'BUILD_DESTINATION_INVALID', /several files need a folder/],
    ['COPY src /app/old.txt', 'BUILD_DESTINATION_INVALID', /app\/old.txt in the image is a file/],
    ['COPY --chown=nobody a.txt /', 'BUILD_OWNER_UNKNOWN', /"nobody" has no entry/],
    ['COPY --parents ./src/./y /', 'BUILD_COPY_SOURCE_MISSING', /"src\/y" is not in the build context/],
    ['COPY --link --chown=app a.txt /', 'BUILD_OWNER_UNKNOWN', /--link: a linked layer knows no names/],
    ['ADD ssh://example.com/x /', 'BUILD_SSH_MISSING', /over ssh, and the build has no key/],
    ['ADD git://example.com/x /', 'BUILD_UNSUPPORTED_ADD_REMOTE', /over git are not offered/],
    ['COPY --from=later a /', 'BUILD_BASE_UNKNOWN', /later/],
  ])('%s fails with %s and the line', async (instruction, code, message) => {
    const files = { 'a.txt': 'a', 'b.txt': 'b', secret: 's', '.dockerignore': 'secret', 'src/': {}, 'src/x': 'x' };
    const error = await failure(f.build({ Dockerfile: `FROM base\n\n${instruction}`, ...files }));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.details).toMatchObject({ file: 'Dockerfile', line: 3, sourceLine: instruction });
  });

  test('offers a name that is close to the missing one', async () => {
    const error = await failure(f.build({ Dockerfile: 'FROM scratch\nCOPY pakage.json /', 'package.json': '{}' }));
    expect(error.hint).toBe('did you mean package.json?');
  });

  test('several sources make the folder they are copied into, when the first is a folder or an archive', async () => {
    const { writeTar } = await import('../../lib/layers/index.js');
    const { membersOf } = await import('./fixture.js');
    const tar = async (name: string): Promise<Spec> => ({
      content: Buffer.concat(await collect(writeTar(membersOf({ [name]: name })))),
    });
    const files = {
      'one/': {},
      'one/a': 'a',
      'two/': {},
      'two/b': 'b',
      c: 'c',
      'x.tar': await tar('x'),
      'y.tar': await tar('y'),
    };
    const copied = async (line: string): Promise<readonly string[]> => {
      const { result } = await f.build({ Dockerfile: `FROM scratch\n${line}`, ...files });
      return [...(await f.tree(result.digest)).walk()].map(({ path }) => path);
    };
    expect(await copied('COPY one two c /dest')).toEqual(['dest', 'dest/a', 'dest/b', 'dest/c']);
    expect(await copied('ADD *.tar /dest')).toEqual(['dest', 'dest/x', 'dest/y']);
    expect((await failure(copied('COPY c one /dest'))).code).toBe('BUILD_DESTINATION_INVALID');
    expect((await failure(copied('COPY *.tar /dest'))).code).toBe('BUILD_DESTINATION_INVALID');
  });

  test('warns about a pattern that matches nothing', async () => {
    const { events } = await f.build({ Dockerfile: 'FROM scratch\nCOPY *.none /' });
    expect(events).toContainEqual({ type: 'warning', message: '/*.none matches nothing', line: 2 });
  });
});

describe('ADD', () => {
  test('unpacks tars by their content, plain and gzip, merging folders and keeping owners and times', async () => {
    const { writeTar, compress } = await import('../../lib/layers/index.js');
    const { membersOf } = await import('./fixture.js');
    const inner = (): AsyncIterable<Uint8Array> =>
      writeTar(
        membersOf(
          {
            'd/': { mode: 0o711 },
            'd/f': { content: 'f', uid: 9, gid: 9 },
            'd/g': { hardlink: 'd/f' },
            run: 'replaces a folder',
          },
          1_600_000_000,
        ),
      );
    const plain = Buffer.concat(await collect(inner()));
    const packed = Buffer.concat(await collect(compress('gzip')(inner())));
    for (const archive of [plain, packed]) {
      const { result } = await f.build({ Dockerfile: 'FROM base\nADD x.bin /', 'x.bin': { content: archive } });
      const entries = await f.layer(result.layers[1]?.digest ?? ('' as never));
      expect(entries.map((e) => `${e.path} ${e.type} ${e.mode} ${e.owner} ${e.mtime}`)).toEqual([
        'd directory 711 0:0 1600000000',
        'd/f file 644 9:9 1600000000',
        'd/g hardlink 644 9:9 1600000000',
        'run file 644 0:0 1600000000',
      ]);
      expect((await f.tree(result.digest)).lookup('/run')?.type).toBe('file');
    }
  });

  test('goes through links where the archive has no entry of its own, and replaces them where it has', async () => {
    const { writeTar } = await import('../../lib/layers/index.js');
    const { membersOf } = await import('./fixture.js');
    const merged = { 'usr/': {}, 'usr/bin/': {}, bin: { symlink: 'usr/bin' }, lib: { symlink: 'usr/lib' } };
    await f.push('merged:1', merged);
    const archive = Buffer.concat(
      await collect(writeTar(membersOf({ 'bin/tool': 't', 'lib/deep/x': 'x', 'own/': {}, 'own/y': 'y' }))),
    );
    const { result } = await f.build({
      Dockerfile: 'FROM merged:1\nADD x.tar /',
      'x.tar': { content: archive },
    });
    const tree = await f.tree(result.digest);
    expect([tree.exact('bin')?.linkTarget, tree.exact('lib')?.linkTarget]).toEqual(['usr/bin', 'usr/lib']);
    expect([tree.exact('usr/bin/tool')?.type, tree.exact('usr/lib/deep/x')?.type]).toEqual(['file', 'file']);

    const owning = Buffer.concat(await collect(writeTar(membersOf({ 'bin/': {}, 'bin/tool': 't' }))));
    const replaced = await f.build({ Dockerfile: 'FROM merged:1\nADD x.tar /', 'x.tar': { content: owning } });
    expect((await f.tree(replaced.result.digest)).exact('bin')?.type).toBe('directory');
  });

  test('of little that unfolds to very much is refused before it fills the store', async () => {
    const tar: Buffer[] = [];
    const zeros = writeTar(membersOf({ zeros: { content: Buffer.alloc(4_000_000) } }));
    for await (const chunk of compress('gzip')(zeros)) tar.push(Buffer.from(chunk));
    const tree = ImageTree.empty(f.store.content).withLayer(
      (await writtenLayer(membersOf({ 'app.tgz': { content: Buffer.concat(tar) } }), { content: f.store.content }))
        .index,
    );
    const file = tree.exact('app.tgz');
    if (file === undefined) throw new Error('no file');
    const { signal } = new AbortController();
    const open = (limits?: object): ReturnType<typeof openArchive> =>
      openArchive(f.store.content, tree, file, signal, limits);
    expect((await open())?.tree.exact('zeros')?.sizeBytes).toBe(4_000_000);
    for (const [limits, message] of [
      [{ maxRatio: 100, ratioFromBytes: 1_000_000 }, /unfold to more than 100 times as many/],
      [{ maxBytes: 3_000_000 }, /more than 3000000 bytes when uncompressed/],
    ] as const) {
      const refused = await failure(open(limits));
      expect([refused.code, refused.message]).toEqual(['COMPRESSION_BOMB', expect.stringMatching(message)]);
    }
  });

  test('copies what is no archive', async () => {
    const got = await layers('FROM scratch\nADD a.tar /', { 'a.tar': 'this is no tar' });
    expect(got).toEqual([['a.tar file 644 0:0']]);
  });

  test('COPY leaves archives packed', async () => {
    const { writeTar } = await import('../../lib/layers/index.js');
    const { membersOf } = await import('./fixture.js');
    const content = Buffer.concat(await collect(writeTar(membersOf({ f: 'f' }))));
    expect(await layers('FROM scratch\nCOPY a.tar /', { 'a.tar': { content } })).toEqual([['a.tar file 644 0:0']]);
  });
});

async function collect(source: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return chunks;
}

describe('WORKDIR', () => {
  test('makes folders for the active user and an empty layer when there is nothing to make', async () => {
    const got = await layers('FROM base\nUSER app\nWORKDIR /srv/www\nWORKDIR /app\nWORKDIR sub');
    expect(got).toEqual([
      ['srv directory 755 1000:1001', 'srv/www directory 755 1000:1001'],
      [],
      ['app directory 700 5:6', 'app/sub directory 755 1000:1001'],
    ]);
  });
});
