import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mkdirSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import {
  completeChangeset,
  ImageTree,
  type LayerEntry,
  readLayer,
  type TarMember,
  whiteoutMember,
  writeLayer,
} from '../../lib/layers/index.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
import { collect, directory, file, readAll, symlink, writtenLayer } from './members.js';

let store: TestStore;
beforeAll(async () => {
  store = await createTestStore();
});
afterAll(() => store.close());

const tree = async (...members: TarMember[]): Promise<ImageTree> =>
  ImageTree.empty(store.content).withLayer((await writtenLayer(members, { content: store.content })).index);

const entries = async (members: AsyncIterable<TarMember>): Promise<LayerEntry[]> =>
  (await readAll(members)).map(({ entry }) => entry);

describe('completing a changeset', () => {
  test('missing parents come first, once, as the image below has them', async () => {
    const lower = await tree(directory('srv', { mode: 0o750, uid: 7, mtimeSeconds: 99 }), symlink('link', 'srv'));
    const members = [file('link/x'), file('new/deep/a'), file('new/deep/b'), file('srv/x')];
    expect(
      (await entries(completeChangeset(members, lower))).map(({ path, type, mode, uid }) => [path, type, mode, uid]),
    ).toEqual([
      ['link', 'directory', 0o755, 0],
      ['link/x', 'file', 0o644, 0],
      ['new', 'directory', 0o755, 0],
      ['new/deep', 'directory', 0o755, 0],
      ['new/deep/a', 'file', 0o644, 0],
      ['new/deep/b', 'file', 0o644, 0],
      ['srv', 'directory', 0o750, 7],
      ['srv/x', 'file', 0o644, 0],
    ]);
  });

  test('a folder that the members bring is not added again', async () => {
    const members = [directory('d', { mode: 0o700 }), file('d/x')];
    expect(
      (await entries(completeChangeset(members, ImageTree.empty(store.content)))).map(({ path, mode }) => [path, mode]),
    ).toEqual([
      ['d', 0o700],
      ['d/x', 0o644],
    ]);
  });

  test('times are clamped, those of whiteouts stay 0, attributes but capabilities go', async () => {
    const xattrs = new Map([
      ['user.a', Uint8Array.of(1)],
      ['security.capability', Uint8Array.of(2)],
      ['trusted.overlay.opaque', Uint8Array.of(3)],
    ]);
    const members = [
      file('a', '', { mtimeSeconds: 500, xattrs }),
      file('b', '', { mtimeSeconds: 50 }),
      whiteoutMember('c'),
    ];
    const done = await entries(completeChangeset(members, ImageTree.empty(store.content), { mtimeClamp: 100 }));
    expect(done.map(({ path, mtimeSeconds }) => [path, mtimeSeconds])).toEqual([
      ['a', 100],
      ['b', 50],
      ['.wh.c', 0],
    ]);
    expect([...(done[0]?.xattrs?.keys() ?? [])]).toEqual(['security.capability']);
    const kept = await entries(
      completeChangeset([file('a', '', { xattrs })], ImageTree.empty(store.content), { keepXattr: () => true }),
    );
    expect([...(kept[0]?.xattrs?.keys() ?? [])]).toEqual(['user.a', 'security.capability']);
  });
});

describe('writing a layer', () => {
  test('what is written is read back by its descriptor, in every compression', async () => {
    const members = (): TarMember[] => [directory('d'), file('d/x', 'content')];
    const written = await Promise.all(
      (['none', 'gzip'] as const).map((compression) => writeLayer(members(), { content: store.content, compression })),
    );
    expect(new Set(written.map((layer) => layer.diffId)).size).toBe(1);
    expect(written.map((layer) => layer.descriptor.mediaType)).toEqual([
      'application/vnd.oci.image.layer.v1.tar',
      'application/vnd.oci.image.layer.v1.tar+gzip',
    ]);
    for (const layer of written) {
      expect(layer.entries).toBe(2);
      expect(layer.uncompressedBytes).toBe(512 * 3 + 1024);
      const read = await readAll(readLayer(store.content, layer.descriptor));
      expect(read.map(({ entry, content }) => [entry.path, content.toString()])).toEqual([
        ['d', ''],
        ['d/x', 'content'],
      ]);
    }
  });

  test('members that fail midway leave no blob', async () => {
    const failing = async function* (): AsyncGenerator<TarMember> {
      yield file('a', 'x');
      throw new Error('the context is gone');
    };
    const blobs = async (): Promise<number> => {
      let count = 0;
      for await (const _ of store.blobs.list()) count += 1;
      return count;
    };
    const before = await blobs();
    await expect(writeLayer(failing(), { content: store.content })).rejects.toThrow('the context is gone');
    expect(await blobs()).toBe(before);
  });

  test('a layer that is not in the store, or is no layer, is refused', async () => {
    const { descriptor } = await writeLayer([file('a')], { content: store.content });
    const absent = { ...descriptor, digest: `sha256:${'0'.repeat(64)}` as typeof descriptor.digest };
    await expect(readAll(readLayer(store.content, absent))).rejects.toMatchObject({ code: 'LAYER_ABSENT' });
    const foreign = { ...descriptor, mediaType: 'application/vnd.in-toto+json' };
    await expect(readAll(readLayer(store.content, foreign))).rejects.toMatchObject({ code: 'LAYER_TYPE' });
  });
});

test('contents asked for against the order of a compressed layer are right, from a file that has no name', async () => {
  const temporary = join(store.directory, 'temporary');
  mkdirSync(temporary);
  const nameless = (): number =>
    readdirSync('/proc/self/fd').filter((fd) => openFile(fd).startsWith(`${temporary}/`)).length;
  let files = 0;
  const made = Array.from({ length: 40 }, (_, i) =>
    file(`f${String(i).padStart(2, '0')}`, `content ${i} `.repeat(300)),
  );
  const { index } = await writtenLayer(made.reverse(), { content: store.content });
  const lower = ImageTree.empty(store.content, { temporaryDirectory: temporary }).withLayer(index);
  const seen: string[] = [];
  for await (const { entry, body } of lower.readMembers(lower.walk())) {
    const content = (await collect(body)).toString();
    expect(content).toBe(`content ${Number(entry.path.slice(1))} `.repeat(300));
    seen.push(entry.path);
    files = Math.max(files, nameless());
    expect(readdirSync(temporary)).toEqual([]);
  }
  expect(seen).toEqual([...seen].sort());
  expect(seen).toHaveLength(40);
  expect([files, nameless()]).toEqual([1, 0]);
});

function openFile(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return '';
  }
}
