/** Entries in columns: what goes in comes out, whatever it is, and little of it is in memory. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from '@jest/globals';
import { array, assert, constantFrom, option, property, record, string, uint8Array } from 'fast-check';
import { EntryList, type LayerEntry, PathTable } from '../../lib/layers/index.js';

const plain = { mode: 0o644, uid: 0, gid: 0, mtimeSeconds: 0, sizeBytes: 0 };

test('an entry comes out as it went in, with all that few entries have', () => {
  const entries: LayerEntry[] = [
    {
      ...plain,
      path: 'a/file',
      type: 'file',
      mode: 0o4755,
      uid: 2 ** 40,
      gid: 7,
      mtimeSeconds: -5,
      sizeBytes: 2 ** 41,
    },
    { ...plain, path: 'a', type: 'directory' },
    { ...plain, path: 'a/link', type: 'symlink', linkTarget: '../é' },
    { ...plain, path: 'b', type: 'hardlink', linkTarget: 'a/file' },
    { ...plain, path: 'dev', type: 'char', device: { major: 5, minor: 1 } },
    { ...plain, path: 'x', type: 'file', xattrs: new Map([['security.capability', Uint8Array.of(1, 2)]]) },
    { ...plain, path: 'a/file', type: 'file', sizeBytes: 1 },
  ];
  const list = EntryList.of(entries);
  expect([...list]).toEqual(entries);
  expect(list.at(0, 'other name')).toEqual({ ...entries[0], path: 'other name' });
});

test('offsets and digests are known of the entries they were given for', () => {
  const sha256 = 'ab'.repeat(32);
  const list = new EntryList();
  list.push({ ...plain, path: 'a', type: 'directory' });
  list.push({ ...plain, path: 'a/x', type: 'file' }, { bodyOffset: 2 ** 35, sha256 });
  list.push({ ...plain, path: 'b', type: 'directory' });
  expect([0, 1, 2].map((row) => list.bodyOffset(row))).toEqual([0, 2 ** 35, 0]);
  expect(list.sha256(1)).toBe(sha256);
  expect(Buffer.from(list.digest(1)).toString('hex')).toBe(sha256);
});

test('paths are found by their names, whatever the names are', () => {
  const names = string({
    minLength: 1,
    maxLength: 8,
    unit: constantFrom('a', 'b', '.', 'é', '\u{1f600}', '\udc80', 'ß'),
  });
  assert(
    property(array(array(names, { minLength: 1, maxLength: 4 }), { maxLength: 60 }), (paths) => {
      const table = new PathTable();
      const wanted = paths.map((parts) => parts.join('/'));
      const rows = wanted.map((path) => table.add(path));
      expect(rows.map((row) => table.path(row))).toEqual(wanted);
      expect(wanted.map((path) => table.find(path))).toEqual(rows);
      expect(table.find('not there')).toBeUndefined();
      expect(new Set(rows).size).toBe(new Set(wanted).size);
    }),
    { numRuns: 300 },
  );
});

test('a walk goes through folders in the order of layers', () => {
  const table = new PathTable();
  for (const path of ['z', 'a.b', 'a/z', 'a!', 'é', 'a/b/c']) table.add(path);
  expect([...table.walk()].map((row) => table.path(row))).toEqual(['a', 'a/b', 'a/b/c', 'a/z', 'a!', 'a.b', 'z', 'é']);
  expect([...table.walk(table.find('a'))].map((row) => table.path(row))).toEqual(['a/b', 'a/b/c', 'a/z']);
});

test('lists of any entries equal those entries', () => {
  const entry = record({
    path: array(constantFrom('a', 'b', 'lib', 'node_modules'), { minLength: 1, maxLength: 5 }).map((parts) =>
      parts.join('/'),
    ),
    type: constantFrom('file' as const, 'directory' as const, 'fifo' as const),
    mode: constantFrom(0, 0o644, 0o7777),
    uid: constantFrom(0, 1000),
    gid: constantFrom(0, 1000),
    mtimeSeconds: constantFrom(0, 1, -1, 1.7e9),
    sizeBytes: constantFrom(0, 1, 2 ** 33),
    xattrs: option(uint8Array({ maxLength: 3 }), { nil: undefined }).map(
      (value) => new Map(value === undefined ? [] : [['user.x', value]]),
    ),
  });
  assert(
    property(array(entry, { maxLength: 50 }), (entries) => {
      const own = entries.map(({ xattrs, ...rest }) => (xattrs.size === 0 ? rest : { ...rest, xattrs }));
      expect([...EntryList.of(own)]).toEqual(own);
    }),
    { numRuns: 200 },
  );
});

test('a file of a deep folder takes less than 200 bytes, next to none of them in the heap', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const files = 50_000;
  const sha256 = '0123456789abcdef'.repeat(4);
  const used = (): { heap: number; beside: number } => {
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return { heap: heapUsed, beside: arrayBuffers };
  };
  const before = used();
  const list = new EntryList();
  for (let i = 0; i < files; i += 1) {
    const path = `node_modules/package-${i >> 8}/dist/types/internal/a-name-as-long-as-they-are-${i}.d.ts`;
    list.push({ ...plain, path, type: 'file', mtimeSeconds: 1.7e9 + i, sizeBytes: i }, { bodyOffset: i * 512, sha256 });
  }
  const after = used();
  expect(list.length).toBe(files);
  expect((after.heap - before.heap) / files).toBeLessThan(30);
  expect((after.beside - before.beside) / files).toBeLessThan(200);
  expect(list.sizeBytes / files).toBeLessThan(200);
});
