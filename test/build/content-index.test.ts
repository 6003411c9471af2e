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

test('the first entry of a content stands for all of them', () => {
  const list = listOf('a', 'b', 'a', 'c', 'b');
  const index = new ContentIndex(list);
  expect([0, 1, 2, 3, 4].map((row) => index.add(row))).toEqual([0, 1, 0, 3, 1]);
});

test('entries of another list are found by what they hold', () => {
  const many = Array.from({ length: 3000 }, (_, i) => `content ${i}`);
  const list = listOf(...many);
  const index = new ContentIndex(list);
  for (let row = 0; row < list.length; row += 1) index.add(row);
  const other = listOf('content 2999', 'nowhere', 'content 0');
  expect([0, 1, 2].map((row) => index.find(other, row))).toEqual([2999, undefined, 0]);
});

test('one digest of two sizes is two contents', () => {
  const list = new EntryList();
  const entry = { type: 'file', mode: 0, uid: 0, gid: 0, mtimeSeconds: 0 } as const;
  for (const sizeBytes of [1, 2])
    list.push({ ...entry, path: `f${sizeBytes}`, sizeBytes }, { sha256: '00'.repeat(32) });
  const index = new ContentIndex(list);
  expect([index.add(0), index.add(1)]).toEqual([0, 1]);
});
