import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  EntryList,
  ImageTree,
  indexLayer,
  LayerIndexes,
  type LayerIndex,
  type TarMember,
  writeLayer,
} from '../../lib/layers/index.js';
import { encodeIndex } from '../../lib/layers/stored/layer-index.js';
import type { Compression } from '../../lib/oci/index.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
import { collect, device, directory, file, hardlink, readAll, symlink, writtenLayer } from './members.js';

let store: TestStore;
beforeAll(async () => {
  store = await createTestStore();
});
afterAll(() => store.close());

async function layer(members: TarMember[], compression: Compression = 'gzip'): Promise<LayerIndex> {
  return (await writtenLayer(members, { content: store.content, compression })).index;
}

async function tree(...layers: TarMember[][]): Promise<ImageTree> {
  let built = ImageTree.empty(store.content);
  for (const members of layers) built = built.withLayer(await layer(members));
  return built;
}

const paths = (built: ImageTree, from = ''): string[] => [...built.walk(from)].map((entry) => entry.path);

describe('merging layers', () => {
  test('a whiteout hides a file and a whole folder of lower layers', async () => {
    const built = await tree(
      [directory('a'), directory('a/d'), file('a/d/x', '1'), file('a/f', '2')],
      [directory('a'), file('a/.wh.d'), file('a/.wh.f'), file('a/g', '3')],
    );
    expect(paths(built)).toEqual(['a', 'a/g']);
  });

  test('an opaque marker applies before its siblings, wherever it stands in the tar', async () => {
    const built = await tree(
      [directory('a'), file('a/old', '1')],
      [directory('a'), file('a/new', '2'), file('a/.wh..wh..opq')],
    );
    expect(paths(built)).toEqual(['a', 'a/new']);
  });

  test('a whiteout never hides what its own layer brings', async () => {
    const built = await tree([directory('a'), file('a/old', '1')], [directory('a'), file('a/new', '2'), file('.wh.a')]);
    expect(paths(built)).toEqual(['a', 'a/new']);
  });

  test('a folder entry over a folder takes new metadata and keeps what is in it', async () => {
    const built = await tree([directory('a'), file('a/x', '1')], [directory('a', { mode: 0o700, uid: 5 })]);
    expect(built.exact('a')).toMatchObject({ mode: 0o700, uid: 5 });
    expect(paths(built)).toEqual(['a', 'a/x']);
  });

  test('a file replaces a folder, and a folder replaces a link', async () => {
    const built = await tree(
      [directory('a'), file('a/x', '1'), symlink('l', 'a')],
      [file('a', 'now a file'), directory('l'), file('l/y', '2')],
    );
    expect(paths(built)).toEqual(['a', 'l', 'l/y']);
    expect(built.exact('a')?.type).toBe('file');
  });

  test('a parent that no entry describes is a folder of mode 0755', async () => {
    const built = await tree([file('deep/er/x', '1')]);
    expect(built.exact('deep/er')).toMatchObject({ type: 'directory', mode: 0o755, uid: 0 });
  });

  test('a tree is not changed by the trees made from it', async () => {
    const lower = await tree([directory('a'), directory('a/b'), file('a/b/x', '1')]);
    const first = lower.withLayer(await layer([directory('a'), directory('a/b'), file('a/b/.wh.x')]));
    const second = lower.withLayer(await layer([directory('a', { mode: 0o700 }), file('a/y', '2')]));
    expect(paths(lower)).toEqual(['a', 'a/b', 'a/b/x']);
    expect(lower.exact('a')?.mode).toBe(0o755);
    expect(paths(first)).toEqual(['a', 'a/b']);
    expect(paths(second)).toEqual(['a', 'a/b', 'a/b/x', 'a/y']);
  });

  test('entries are walked component by component, in the order of bytes', async () => {
    const built = await tree([
      file('a.b'),
      file('a/z'),
      file('a!'),
      file('é'),
      file('z'),
      file('\u{1f600}'),
      file('\uffee'),
    ]);
    expect(paths(built)).toEqual(['a', 'a/z', 'a!', 'a.b', 'z', 'é', '\uffee', '\u{1f600}']);
  });

  test('every name of a hard-linked file has the entry and the content of the file', async () => {
    const built = await tree(
      [file('x', 'shared', { mode: 0o4755, uid: 3 }), hardlink('y', 'x'), file('z', 'shared')],
      [file('.wh.x')],
    );
    expect(built.exact('y')).toMatchObject({ type: 'file', mode: 0o4755, uid: 3, sizeBytes: 6 });
    expect((await collect(built.readFile('y'))).toString()).toBe('shared');
    const lower = await tree([file('x', 'shared'), hardlink('y', 'x'), file('z', 'shared')]);
    expect(lower.exact('x')?.inode).toBe(lower.exact('y')?.inode);
    expect(lower.exact('x')?.inode).not.toBe(lower.exact('z')?.inode);
  });

  test('a hard link leads to what its target is: a link, a file below, never what a marker hides', async () => {
    const lower = (): TarMember[] => [directory('d'), file('d/x', '1'), symlink('l', 'd')];
    const built = await tree(lower(), [hardlink('m', 'l'), hardlink('y', 'd/x')]);
    expect(built.lookup('m/x')?.path).toBe('d/x');
    const [x, y] = [built.exact('d/x'), built.exact('y')];
    expect(x?.inode).toBe(y?.inode);
    expect(x && built.isLinked(x)).toBe(true);
    await expect(tree(lower(), [file('.wh..wh..opq'), hardlink('y', 'd/x')])).rejects.toMatchObject({
      code: 'LAYER_LINK_BROKEN',
    });
  });

  test('what one layer has twice is what came last', async () => {
    const built = await tree(
      [directory('a'), file('a/low', '1')],
      [file('a/x', '1'), file('a', 'now a file'), file('a/y', '2'), directory('b'), file('b/z', '3'), file('b')],
    );
    expect(paths(built)).toEqual(['a', 'a/y', 'b']);
    expect(built.exact('a')).toMatchObject({ type: 'directory', mode: 0o755 });
  });

  test('a hard link to nothing is refused, with its name', async () => {
    await expect(tree([hardlink('y', 'missing')])).rejects.toMatchObject({
      code: 'LAYER_LINK_BROKEN',
      message: expect.stringContaining('"missing"'),
    });
  });
});

describe('looking up', () => {
  test('links are resolved inside the root, absolute ones from the root, ".." never above it', async () => {
    const built = await tree([
      directory('usr'),
      directory('usr/bin'),
      file('usr/bin/sh', 'shell'),
      symlink('bin', 'usr/bin'),
      symlink('abs', '/usr'),
      symlink('up', '../../../usr/bin/../bin/sh'),
    ]);
    expect(built.lookup('/bin/sh')?.path).toBe('usr/bin/sh');
    expect(built.lookup('abs/bin/sh')?.path).toBe('usr/bin/sh');
    expect(built.lookup('up')?.path).toBe('usr/bin/sh');
    expect(built.lookup('up', { followLast: false })).toMatchObject({ path: 'up', type: 'symlink' });
    expect(built.lookup('bin/', { followLast: false })).toMatchObject({ path: 'usr/bin', type: 'directory' });
    expect(built.lookup('/')).toMatchObject({ path: '', type: 'directory' });
    expect(built.lookup('usr/bin/sh/x')).toBeUndefined();
  });

  test('a path that does not exist yet resolves through the links that do', async () => {
    const built = await tree([directory('srv'), symlink('app', '/srv'), symlink('dangling', 'nowhere/here')]);
    expect(built.resolve('/app/new/file')).toBe('srv/new/file');
    expect(built.resolve('/dangling')).toBe('nowhere/here');
    expect(built.resolve('../../x')).toBe('x');
    expect(built.lookup('dangling')).toBeUndefined();
  });

  test('a loop of links is refused', async () => {
    const built = await tree([symlink('a', 'b'), symlink('b', 'a')]);
    expect(() => built.lookup('a/x')).toThrow(expect.objectContaining({ code: 'SYMLINK_LOOP' }));
  });

  test('a folder is listed by name; what is no folder is not', async () => {
    const built = await tree([directory('d'), file('d/b'), file('d/a'), symlink('l', 'd')]);
    expect(built.list('l')?.map((entry) => entry.path)).toEqual(['d/a', 'd/b']);
    expect(built.list('d/a')).toBeUndefined();
    expect(built.list('none')).toBeUndefined();
    expect(ImageTree.empty(store.content).list('')).toEqual([]);
  });
});

describe('reading contents', () => {
  test.each(['none', 'gzip'] as const)('a file is read from a layer with compression %s', async (compression) => {
    const index = await layer([file('a', 'first'), file('big', 'x'.repeat(300_000)), file('z', 'last')], compression);
    const built = ImageTree.empty(store.content).withLayer(index);
    expect((await collect(built.readFile('z'))).toString()).toBe('last');
    expect(await collect(built.readFile('/big'))).toHaveLength(300_000);
    expect((await collect(built.readFile('a'))).toString()).toBe('first');
  });

  test('members come with their contents in whatever order they are asked for', async () => {
    const built = await tree(
      [file('a', '1'), file('b', '22'), device('n', 'char', 1, 3)],
      [file('b', '333'), file('c', '')],
    );
    const entries = [...built.walk()].reverse();
    const members = await readAll(built.readMembers(entries));
    expect(members.map(({ entry, content }) => [entry.path, content.toString()])).toEqual([
      ['n', ''],
      ['c', ''],
      ['b', '333'],
      ['a', '1'],
    ]);
  });

  test('reading what is no file is refused with what it is', async () => {
    const built = await tree([directory('d')]);
    await expect(collect(built.readFile('d'))).rejects.toMatchObject({ code: 'FILE_ABSENT' });
    await expect(collect(built.readFile('x'))).rejects.toMatchObject({ code: 'FILE_ABSENT', kind: 'not-found' });
  });
});

test.each(['none', 'gzip'] as const)(
  'contents (%s) are had in any order, from small pieces and large ones',
  async (kind) => {
    const sizes = [3, 70_000, 900, 200_000, 1, 65_536, 1_500_000, 40, 0, 64_000, 5, 300_000, 7, 100_000, 2];
    const made = sizes.map((size, i) => file(`f${i}`, Buffer.alloc(size, `${i} `)));
    const built = ImageTree.empty(store.content).withLayer(await layer(made, kind));
    const entries = [...built.walk()];
    const once = entries.map((_, i) => (i * 7) % entries.length);
    for (const order of [once, [...once].reverse(), [...entries.keys()], [0, 6, 5, 6, 7, 1, 2, 14, 0]]) {
      const asked = order.flatMap((at) => entries[at] ?? []);
      for (const { entry, content } of await readAll(built.readMembers(asked))) {
        const expected = Buffer.alloc(entry.sizeBytes, `${entry.path.slice(1)} `);
        expect([entry.path, content.equals(expected)]).toEqual([entry.path, true]);
      }
    }
  },
);

describe('kept indexes', () => {
  test('an index that is made by reading equals the one that writing gave, also after storing', async () => {
    const members = (): TarMember[] => [
      directory('d', { mtimeSeconds: 5, uid: 70_000, gid: 3 }),
      file('d/é\udc80', 'content', { xattrs: new Map([['security.capability', Uint8Array.of(1, 0, 255)]]) }),
      hardlink('d/h', 'd/é\udc80'),
      symlink('d/l', 'x'),
      device('d/n', 'block', 8, 1),
      file('d/.wh.gone'),
    ];
    const written = await writtenLayer(members(), { content: store.content });
    const indexes = new LayerIndexes({ content: store.content, records: store.records });
    const read = await indexes.get(written);
    expect(read).toEqual(written.index);
    expect(await new LayerIndexes({ content: store.content, records: store.records }).get(written)).toEqual(
      written.index,
    );
  });

  test('an index of many entries is kept in the pieces that writing made of it', async () => {
    const many = Array.from({ length: 2500 }, (_, i) => file(`f${i}`, String(i)));
    const layer = await writeLayer(many, { content: store.content });
    const indexes = new LayerIndexes({ content: store.content, records: store.records });
    await indexes.put(layer.index);
    expect(await indexes.get(layer)).toEqual(await indexLayer(store.content, layer.descriptor));
    expect(layer.index.entries).toBe(2500);
  });

  test('a layer that does not have the promised diff id is refused', async () => {
    const a = await writeLayer([file('a', '1')], { content: store.content });
    const b = await writeLayer([file('b', '2')], { content: store.content });
    const indexes = new LayerIndexes({ content: store.content, records: store.records });
    await expect(indexes.get({ descriptor: a.descriptor, diffId: b.diffId })).rejects.toMatchObject({
      code: 'LAYER_CORRUPT',
    });
  });

  test('a stored index whose blob is gone is made again', async () => {
    const written = await writtenLayer([file('q', '1')], { content: store.content });
    const indexes = new LayerIndexes({ content: store.content, records: store.records });
    await indexes.put(encodeIndex({ ...written.index, entries: new EntryList() }));
    const key = { partition: `LAYER#${written.diffId}`, sort: 'INDEX' };
    expect((await indexes.get(written)).entries).toHaveLength(0);
    const record = await store.records.get<{ blob: string }>(key);
    await store.records.delete({ partition: `BLOB#${record?.value.blob}`, sort: '-' });
    expect(await indexes.get(written)).toEqual(written.index);
  });
});
