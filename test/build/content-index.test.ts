/** Contents found by digest and size. */
import { createHash } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { ContentIndex } from '../../lib/build/context/content-index.js';
import { EntryList } from '../../lib/layers/index.js';

function listOf(...contents: readonly string[]): EntryList {
  const list = new EntryList();
  for (const [i, content] of contents.entries()) {
    const sha256 = createHash('sha256').update(content).digest('hex');
    const entry = { path: `f${i}`, type: 'file', mode: 0, uid: 0, gid: 0, mtimeSeconds: 0 } as const;
    list.push({ ...entry, sizeBytes: content.length }, { sha256 });
  }
  return list;
}

const rows = (list: EntryList): number[] => Array.from({ length: list.length }, (_, row) => row);

test('the first entry of a content stands for all of them', () => {
  const list = listOf('a', 'b', 'a', 'c', 'b');
  const index = new ContentIndex(list);
  expect(rows(list).map((row) => index.first(row))).toEqual([0, 1, 0, 3, 1]);
});

test('contents of another list are found, and nothing that has none', () => {
  const index = new ContentIndex(listOf('', ...Array.from({ length: 3000 }, (_, i) => `content ${i}`)));
  const other = listOf('content 2999', 'nowhere', 'content 0', '');
  const found = rows(other).map((row) => index.find(other.digest(row), other.sizeBytesOf(row)));
  expect(found).toEqual([3000, undefined, 1, undefined]);
});

test('one digest of two sizes is two contents', () => {
  const list = new EntryList();
  const entry = { type: 'file', mode: 0, uid: 0, gid: 0, mtimeSeconds: 0 } as const;
  for (const sizeBytes of [1, 2])
    list.push({ ...entry, path: `f${sizeBytes}`, sizeBytes }, { sha256: '00'.repeat(32) });
  const index = new ContentIndex(list);
  expect(rows(list).map((row) => index.first(row))).toEqual([0, 1]);
});
