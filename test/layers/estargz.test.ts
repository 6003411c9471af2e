/** eStargz: every file is found by the list and read by itself, and to everyone else it is a gzip of the same tar. */
import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { LayerIndexes, readLayer, readTar, type TarMember, writeLayer } from '../../lib/layers/index.js';
import { type Digest, digestOf } from '../../lib/oci/index.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
import { writtenLayer } from './members.js';

let store: TestStore;
beforeAll(async () => {
  store = await createTestStore();
});
afterAll(() => store.close());

/** Larger than a piece, and not the same all over. */
const LARGE = Buffer.from(Array.from({ length: 900_000 }, (_, i) => `line ${i}\n`).join('')).subarray(0, 9_000_000);

function file(path: string, content: Buffer, more: object = {}): TarMember {
  const entry = { path, type: 'file', mode: 0o644, uid: 0, gid: 0, mtimeSeconds: 1_714_979_289 } as const;
  return { entry: { ...entry, sizeBytes: content.length, ...more }, body: once(content) };
}
async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
}
const contents: Readonly<Record<string, Buffer>> = {
  'dir/a': Buffer.from('A'),
  'dir/empty': Buffer.alloc(0),
  'dir/large': LARGE,
  z: Buffer.from('last'),
};
const other = { mode: 0o755, uid: 0, gid: 7, mtimeSeconds: 0, sizeBytes: 0 };
const members = (): TarMember[] => [
  { entry: { ...other, path: 'dir', type: 'directory' }, body: once(Buffer.alloc(0)) },
  file('dir/a', contents['dir/a'] ?? Buffer.alloc(0), { xattrs: new Map([['user.x', Buffer.from('y')]]) }),
  file('dir/empty', Buffer.alloc(0)),
  file('dir/large', LARGE),
  { entry: { ...other, path: 'link', type: 'symlink', linkTarget: 'z' }, body: once(Buffer.alloc(0)) },
  file('z', Buffer.from('last')),
];

const written = (level?: number) =>
  writtenLayer(members(), {
    content: store.content,
    compression: 'estargz',
    ...(level === undefined ? {} : { level }),
  });

async function blobOf(digest: Digest): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of (await store.content.open(digest)) ?? []) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

interface Entry {
  readonly name: string;
  readonly type: string;
  readonly size?: number;
  readonly offset?: number;
  readonly chunkOffset?: number;
  readonly chunkSize?: number;
  readonly chunkDigest?: string;
  readonly digest?: string;
}

/** As a puller finds it: the footer, then the list. */
async function listOf(blob: Buffer): Promise<{ json: Buffer; entries: Entry[] }> {
  const footer = blob.subarray(-51);
  expect(footer.subarray(10, 16).toString('hex')).toBe('1a0053471600');
  expect(footer.subarray(32, 38).toString()).toBe('STARGZ');
  expect(gunzipSync(footer)).toHaveLength(0);
  const at = Number.parseInt(footer.subarray(16, 32).toString(), 16);
  for await (const { entry, body } of readTar(once(gunzipSync(blob.subarray(at, -51))))) {
    expect(entry.path).toBe('stargz.index.json');
    const chunks: Uint8Array[] = [];
    for await (const chunk of body) chunks.push(chunk);
    const json = Buffer.concat(chunks);
    return { json, entries: (JSON.parse(json.toString()) as { entries: Entry[] }).entries };
  }
  throw new Error('no list');
}

const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

test.each([undefined, 0, 9])(
  'at level %s every file can be read by itself, and says what it must be',
  async (level) => {
    const { descriptor } = await written(level);
    const blob = await blobOf(descriptor.digest);
    const { json, entries } = await listOf(blob);
    expect(entries.map(({ name, type }) => `${type} ${name}`)).toEqual([
      'dir dir/',
      'reg dir/a',
      'reg dir/empty',
      'reg dir/large',
      'chunk dir/large',
      'chunk dir/large',
      'symlink link',
      'reg z',
    ]);
    expect(entries[1]).toMatchObject({ modtime: '2024-05-06T07:08:09Z', mode: 0o644, xattrs: { 'user.x': 'eQ==' } });
    expect(entries[0]).toEqual({ name: 'dir/', type: 'dir', mode: 0o755, gid: 7 });
    const starts = entries.flatMap(({ offset }) => offset ?? []);
    for (const { name, offset, size = 0, chunkOffset = 0, chunkSize, chunkDigest } of entries) {
      if (offset === undefined) continue;
      const whole = contents[name] ?? Buffer.alloc(0);
      const length = chunkSize ?? (size === 0 ? whole.length : size) - chunkOffset;
      // One gzip member alone: up to the next one, and no further.
      const end = starts.find((each) => each > offset) ?? blob.indexOf(Buffer.from([0x1f, 0x8b]), offset + 20);
      const piece = gunzipSync(blob.subarray(offset, end)).subarray(0, length);
      expect(piece.equals(whole.subarray(chunkOffset, chunkOffset + length))).toBe(true);
      expect(chunkDigest).toBe(sha256(piece));
    }
    for (const { name, type, digest } of entries.filter((entry) => entry.type === 'reg')) {
      expect([name, type, digest]).toEqual([name, 'reg', sha256(contents[name] ?? Buffer.alloc(0))]);
    }
    expect(descriptor.annotations).toMatchObject({ 'containerd.io/snapshot/stargz/toc.digest': digestOf(json) });
  },
);

test('is the same tar as gzip to everyone else, and the same blob each time', async () => {
  const { descriptor, diffId, uncompressedBytes, index } = await written();
  const plain = gunzipSync(await blobOf(descriptor.digest));
  expect([digestOf(plain), plain.length]).toEqual([diffId, uncompressedBytes]);
  expect(descriptor.annotations?.['io.containers.estargz.uncompressed-size']).toBe(String(plain.length));
  expect((await written()).descriptor).toEqual(descriptor);
  const tar = await writeLayer(members(), { content: store.content, compression: 'none' });
  const plainTar = await blobOf(tar.descriptor.digest);
  expect(plain.subarray(0, plainTar.length).equals(plainTar)).toBe(true);
  const paths: string[] = [];
  for await (const { entry } of readLayer(store.content, descriptor)) paths.push(entry.path);
  expect(paths).toEqual(['dir', 'dir/a', 'dir/empty', 'dir/large', 'link', 'z']);
  // As somebody finds it who did not write it.
  const found = await new LayerIndexes({ content: store.content, records: store.records }).get({ descriptor, diffId });
  expect(found.entries).toEqual(index.entries);
});

test('a layer without files has a list too, and the name of the list is not free', async () => {
  const empty = await writeLayer([], { content: store.content, compression: 'estargz' });
  expect((await listOf(await blobOf(empty.descriptor.digest))).entries).toEqual([]);
  const taken = writeLayer([file('stargz.index.json', Buffer.from('x'))], {
    content: store.content,
    compression: 'estargz',
  });
  await expect(taken).rejects.toMatchObject({ code: 'COMPRESSION_UNSUPPORTED' });
  const bad = writeLayer([], { content: store.content, compression: 'estargz', level: 10 });
  await expect(bad).rejects.toMatchObject({ code: 'COMPRESSION_LEVEL' });
});
