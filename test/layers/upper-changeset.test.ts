/** RUN changes, over a real overlayfs: what a script did to the merged tree must come back from its changeset. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { type TarMember } from '../../lib/layers/index.js';
import { requireTools } from '../host-tools.js';
import { directory, file, hardlink, type KnownLayer, readAll, symlink } from './members.js';
import { OverlayLab, snapshot } from './overlay-lab.js';
import { readLayer } from '../../lib/layers/index.js';

const DAY = 1_700_000_000;
const at = { mtimeSeconds: DAY };
/** A capability set as the kernel keeps it (revision 2: cap_net_raw, effective). */
const CAPABILITY = Buffer.from('0100000200200000000000000000000000000000', 'hex');

function base(): TarMember[] {
  return [
    directory('bin', at),
    file('bin/ping', 'ping', { ...at, mode: 0o755, xattrs: new Map([['security.capability', CAPABILITY]]) }),
    file('bin/su', 'su', { ...at, mode: 0o4755 }),
    directory('d', { ...at, mode: 0o750, uid: 10, gid: 20 }),
    file('d/a', 'content of a', at),
    file('d/b', 'content of b', at),
    directory('d/sub', at),
    file('d/sub/deep', 'deep', at),
    symlink('d/sub/link', '../a', at),
    file('empty', '', at),
    directory('etc', at),
    file('etc/passwd', 'root:x:0:0::/:/bin/sh\n', at),
    directory('links', at),
    file('links/one', 'linked', at),
    hardlink('links/two', 'links/one'),
    symlink('sym', 'd', at),
    directory('tmp', { ...at, mode: 0o1777 }),
  ];
}

const host = requireTools('root', 'tar', 'mount', 'umount', 'python3');

host.describe('the changeset of an overlayfs upper folder', () => {
  let lab: OverlayLab;
  let lower: KnownLayer;
  beforeAll(async () => {
    lab = await OverlayLab.open();
    lower = await lab.layer(base());
  });
  afterEach(() => lab.unmountAll());
  afterAll(() => lab.close());

  /** Runs the script and gives the layer of its changes, after checking that the layer gives the same tree again. */
  async function changed(script: string): Promise<{ readonly layer: KnownLayer; readonly paths: string[] }> {
    const { root, upper } = await lab.mount([lower]);
    lab.run(root, script);
    const layer = await lab.changes(upper, lab.tree([lower]));
    const applied = await lab.mount([lower, layer]);
    const expected = snapshot(root);
    expect(snapshot(applied.root)).toEqual(expected);
    const tree = lab.tree([lower, layer]);
    expect([...tree.walk()].map((entry) => entry.path)).toEqual(
      Object.keys(expected)
        .filter((path) => path !== '/links')
        .sort((a, b) => (a.replaceAll('/', '\0') < b.replaceAll('/', '\0') ? -1 : 1)),
    );
    return { layer, paths: [...layer.index.entries].map((entry) => entry.path) };
  }

  test.each<[string, string, string[]]>([
    ['nothing changed', 'true', []],
    [
      'a new file brings its parents, once',
      'echo 1 > d/sub/new; echo 2 > d/sub/other',
      ['d', 'd/sub', 'd/sub/new', 'd/sub/other'],
    ],
    ['a file at the root has no parent', 'echo 1 > new', ['new']],
    [
      'a deleted file is a whiteout where its name sorts',
      'rm d/a; echo > d/.x; echo > d/c',
      ['d', 'd/.x', 'd/.wh.a', 'd/c'],
    ],
    ['a deleted folder is one whiteout', 'rm -r d', ['.wh.d']],
    ['what was made and deleted again leaves only its folder', 'echo > d/t; rm d/t', []],
    ['a file moved there and back is no change', 'mv d/a d/x; mv d/x d/a', []],
    ['a file moved away and a new one in its place', 'mv d/a d/x; echo new > d/a', ['d', 'd/a', 'd/x']],
    ['a changed file', 'echo more >> etc/passwd', ['etc', 'etc/passwd']],
    ['a file whose time alone changed', 'touch d/b', ['d', 'd/b']],
    ['a file copied up and otherwise as before', 'chmod 600 d/b; chmod 644 d/b', []],
    ['equal size and time, other content', "printf 'content of B' > d/b; touch -d @1700000000 d/b", ['d', 'd/b']],
    ['a folder whose mode changed', 'chmod 700 d', ['d']],
    ['a folder whose owner changed and back', 'chown 5:5 d; chown 10:20 d', []],
    ['a folder touched only', 'touch d', []],
    ['a file became a folder', 'rm d/a; mkdir d/a; echo 1 > d/a/in', ['d', 'd/a', 'd/a/in']],
    ['a folder became a file', 'rm -r d/sub; echo 1 > d/sub', ['d', 'd/sub']],
    ['a folder became a link', 'rm -r d; ln -s etc d', ['d']],
    ['a link became a folder', 'rm sym; mkdir sym; echo 1 > sym/in', ['sym', 'sym/in']],
    ['a link with another target', 'ln -sfn etc sym', ['sym']],
    [
      'a folder made anew is compared name by name',
      'rm -r d; mkdir d; chmod 750 d; chown 10:20 d; echo 1 > d/b; echo 2 > d/z',
      ['d', 'd/.wh.a', 'd/b', 'd/.wh.sub', 'd/z'],
    ],
    ['a folder made anew and empty', 'rm -r d/sub; mkdir d/sub', ['d', 'd/sub', 'd/sub/.wh.deep', 'd/sub/.wh.link']],
    [
      'folders made anew inside one another',
      'rm -r d; mkdir -p d/sub/sub; echo 1 > d/sub/sub/x',
      ['d', 'd/.wh.a', 'd/.wh.b', 'd/sub', 'd/sub/.wh.deep', 'd/sub/.wh.link', 'd/sub/sub', 'd/sub/sub/x'],
    ],
    ['a folder copied away and back as it was', 'cp -a d x; rm -r d; cp -a x d; rm -r x', []],
    ['a folder moved to another name', 'mv d e', ['.wh.d', 'e', 'e/a', 'e/b', 'e/sub', 'e/sub/deep', 'e/sub/link']],
    ['new hard links', 'echo 1 > z1; ln z1 a1; ln z1 tmp/m', ['a1', 'tmp', 'tmp/m', 'z1']],
    ['one name of a linked file is deleted', 'rm links/one', ['links', 'links/.wh.one']],
    ['capabilities of a new file', 'cp --preserve=all bin/ping bin/ping2', ['bin', 'bin/ping2']],
    [
      'capabilities taken from a file',
      `python3 -c "import os; os.removexattr('bin/ping', 'security.capability')"; touch -d @1700000000 bin/ping`,
      ['bin', 'bin/ping'],
    ],
    [
      'setuid, sticky, owners, old times',
      'cp bin/su tmp/s; chown 1000:1001 tmp/s; chmod 6755 tmp/s; touch -d @1000 tmp/s; mkdir -m 1770 tmp/st',
      ['tmp', 'tmp/s', 'tmp/st'],
    ],
    ['devices and fifos', 'mknod tmp/n c 1 3; mknod tmp/b b 8 1; mkfifo tmp/f', ['tmp', 'tmp/b', 'tmp/f', 'tmp/n']],
    [
      'names that are not UTF-8, long, or full of newlines',
      String.raw`printf 1 > "$(printf 'tmp/\377\001')"; mkdir -p tmp/$(printf 'x%.0s' $(seq 200)); printf 2 > tmp/$(printf 'x%.0s' $(seq 200))/é; printf 3 > "$(printf 'tmp/-a\nb')"`,
      ['tmp', 'tmp/-a\nb', `tmp/${'x'.repeat(200)}`, `tmp/${'x'.repeat(200)}/é`, 'tmp/\udcff\u0001'],
    ],
  ])('%s', async (_name, script, expected) => {
    const { paths } = await changed(script);
    expect([...paths].sort()).toEqual([...expected].sort());
  });

  test('entries stand in the order of path components, whiteouts where the deleted name sorts', async () => {
    const { paths } = await changed('rm -r d/sub; echo > d/sub.x; echo > d/t; mkdir d/r; echo > d/r/q; echo > d/r!');
    expect(paths).toEqual(['d', 'd/r', 'd/r/q', 'd/r!', 'd/.wh.sub', 'd/sub.x', 'd/t']);
  });

  test('files below are compared where they are mounted, once one of them has to be', async () => {
    const { root, upper } = await lab.mount([lower]);
    const below = await lab.mount([lower]);
    let mounts = 0;
    const mountLower = (): Promise<string> => {
      mounts += 1;
      return Promise.resolve(below.root);
    };
    lab.run(root, 'echo 1 > tmp/new; rm etc/passwd; touch d/sub/deep');
    await lab.changes(upper, lab.tree([lower]), { mountLower });
    expect(mounts).toBe(0);
    lab.run(root, 'for file in d/a d/b; do chmod 600 $file; chmod 644 $file; done');
    // Other bytes than in the layer show that these were read.
    lab.run(below.root, "printf 'content of B' > d/b");
    const layer = await lab.changes(upper, lab.tree([lower]), { mountLower });
    expect(mounts).toBe(1);
    const files = [...layer.index.entries].filter(({ type, path }) => type === 'file' && path.startsWith('d/'));
    expect(files.map(({ path }) => path)).toEqual(['d/b', 'd/sub/deep']);
  });

  test('a new name of an unchanged file is written whole, since its other name is not in the layer', async () => {
    const { root, upper } = await lab.mount([lower]);
    lab.run(root, 'ln d/a d/zz');
    const layer = await lab.changes(upper, lab.tree([lower]));
    const members = await readAll(readLayer(lab.store.content, layer.descriptor));
    expect(members.map(({ entry, content }) => [entry.path, entry.type, content.toString()])).toEqual([
      ['d', 'directory', ''],
      ['d/zz', 'file', 'content of a'],
    ]);
  });

  test('names of one file that stay as they were, in a folder made anew, are written when another name is new', async () => {
    const { paths, layer } = await changed(
      'cp -a links keep; rm -r links; cp -a keep links; rm -r keep; ln links/one zz; touch -d @1700000000 links',
    );
    expect(paths).toEqual(['zz', 'links', 'links/one', 'links/two']);
    expect([...layer.index.entries].map((entry) => entry.type)).toEqual(['file', 'directory', 'hardlink', 'hardlink']);
  });

  test('a socket is left out', async () => {
    const { root, upper } = await lab.mount([lower]);
    lab.run(root, `python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('tmp/s')"; echo > tmp/f`);
    const layer = await lab.changes(upper, lab.tree([lower]));
    expect([...layer.index.entries].map((entry) => entry.path)).toEqual(['tmp', 'tmp/f']);
  });

  test('of attributes only capabilities are kept, and none of overlayfs', async () => {
    const { root, upper } = await lab.mount([lower]);
    lab.run(root, `python3 -c "import os; os.setxattr('bin/ping', 'user.note', b'x')"; rm -r d; mkdir d; echo 1 > d/n`);
    const layer = await lab.changes(upper, lab.tree([lower]));
    const attributes = [...layer.index.entries].map(
      (entry) => [entry.path, [...(entry.xattrs?.keys() ?? [])]] as const,
    );
    expect(attributes.filter(([, names]) => names.length > 0)).toEqual([]);
    const second = await lab.mount([lower]);
    lab.run(second.root, `python3 -c "import os; os.setxattr('bin/ping', 'user.note', b'x')"; touch bin/ping`);
    const kept = await lab.changes(second.upper, lab.tree([lower]), { keepXattr: () => true });
    const ping = [...kept.index.entries].find((entry) => entry.path === 'bin/ping');
    expect([...(ping?.xattrs?.keys() ?? [])].sort()).toEqual(['security.capability', 'user.note']);
  });

  test('the first changed path of a linked file is the file, the others are links to it', async () => {
    const { layer } = await changed('echo 1 > links/z; ln links/z links/a; ln links/z d/m');
    const links = [...layer.index.entries].filter((entry) => entry.type !== 'directory');
    expect(links.map(({ path, type, linkTarget }) => [path, type, linkTarget])).toEqual([
      ['d/m', 'file', undefined],
      ['links/a', 'hardlink', 'd/m'],
      ['links/z', 'hardlink', 'd/m'],
    ]);
  });

  test('times are cut to seconds and clamped; a whiteout has mode 0 and time 0', async () => {
    const { root, upper } = await lab.mount([lower]);
    lab.run(root, 'touch -d 2023-01-01T00:00:00.999999999Z tmp/old; touch -d @1999999999 tmp/late; rm etc/passwd');
    const layer = await lab.changes(upper, lab.tree([lower]), { mtimeClamp: 1_800_000_000 });
    const byPath = new Map([...layer.index.entries].map((entry) => [entry.path, entry]));
    expect(byPath.get('tmp/old')?.mtimeSeconds).toBe(1_672_531_200);
    expect(byPath.get('tmp/late')?.mtimeSeconds).toBe(1_800_000_000);
    expect(byPath.get('etc/.wh.passwd')).toMatchObject({ mode: 0, mtimeSeconds: 0, sizeBytes: 0, type: 'file' });
  });

  test('the same script gives the same bytes', async () => {
    const script = 'for i in 3 1 2; do echo $i > tmp/$i; done; rm d/a; ln tmp/1 tmp/0; touch -d @5 tmp tmp/* etc d';
    const layers: KnownLayer[] = [];
    for (let i = 0; i < 2; i += 1) {
      const { root, upper } = await lab.mount([lower]);
      lab.run(root, script);
      layers.push(await lab.changes(upper, lab.tree([lower])));
    }
    expect(layers[1]?.diffId).toBe(layers[0]?.diffId);
  });

  test('changes over several layers, one of which hides and replaces', async () => {
    const second = await lab.layer([
      directory('d', { ...at, mode: 0o750, uid: 10, gid: 20 }),
      file('d/.wh.a'),
      directory('d/sub', at),
      file('d/sub/.wh..wh..opq'),
      file('d/sub/only', 'only', at),
    ]);
    const { root, upper } = await lab.mount([lower, second]);
    expect(Object.keys(snapshot(root)).filter((path) => path.startsWith('d/'))).toEqual(['d/b', 'd/sub', 'd/sub/only']);
    lab.run(root, 'rm d/sub/only; echo > d/a; chmod 700 d/b; chmod 644 d/b');
    const layer = await lab.changes(upper, lab.tree([lower, second]));
    expect([...layer.index.entries].map((entry) => entry.path)).toEqual(['d', 'd/a', 'd/sub', 'd/sub/.wh.only']);
    const applied = await lab.mount([lower, second, layer]);
    expect(snapshot(applied.root)).toEqual(snapshot(root));
  });

  test('contents arrive whole, beside many candidates that are as before', async () => {
    const many = await lab.layer(
      Array.from({ length: 300 }, (_, i) => file(`f${String(299 - i).padStart(3, '0')}`, `file ${i}`.repeat(500), at)),
    );
    const { root, upper } = await lab.mount([many]);
    lab.run(root, 'chmod 600 *; chmod 644 *; echo changed > f150');
    const layer = await lab.changes(upper, lab.tree([many]));
    const members = await readAll(readLayer(lab.store.content, layer.descriptor));
    expect(members.map(({ entry, content }) => [entry.path, content.toString()])).toEqual([['f150', 'changed\n']]);
  });
});
