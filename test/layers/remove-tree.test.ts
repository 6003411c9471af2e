import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { removeTree } from '../../lib/layers/index.js';
import { requireTools } from '../host-tools.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync('/tmp/wharf-remove-test-');
});
afterAll(() => removeTree(folder));

test('what is not there is removed', async () => {
  await removeTree(join(folder, 'absent'));
  await removeTree(join(folder, 'absent/deeper'));
});

test('a folder goes with all that is in it, and links with nothing they lead to', async () => {
  const kept = join(folder, 'kept');
  const tree = join(folder, '-tree');
  mkdirSync(kept);
  writeFileSync(join(kept, 'file'), 'x');
  mkdirSync(join(tree, 'a/b'), { recursive: true });
  writeFileSync(Buffer.concat([Buffer.from(`${tree}/a/`), Buffer.from([0xff, 0x0a])]), 'x');
  symlinkSync(kept, join(tree, 'link'));
  await removeTree(tree);
  expect(existsSync(tree)).toBe(false);
  expect(readdirSync(kept)).toEqual(['file']);
  await removeTree(join(kept, 'file'));
  expect(readdirSync(kept)).toEqual([]);
});

test.each([3, 200])('a folder of %d files in folders goes', async (count) => {
  const tree = join(folder, `of-${count}`);
  for (let i = 0; i < count; i += 1) {
    mkdirSync(join(tree, `${i % 7}`), { recursive: true });
    writeFileSync(join(tree, `${i % 7}`, `${i}`), 'x');
  }
  await removeTree(tree);
  expect(existsSync(tree)).toBe(false);
});

test('a path longer than the system takes at once is removed', async () => {
  const tree = join(folder, 'deep');
  const script = 'mkdir "$1"; cd "$1"; for i in $(seq 30); do mkdir "$2"; cd -P "./$2"; done; echo > file';
  execFileSync('bash', ['-euc', script, 'bash', tree, 'n'.repeat(200)]);
  await removeTree(tree);
  expect(existsSync(tree)).toBe(false);
});

const host = requireTools('root', 'mount', 'umount');

host.describe('beside a mount', () => {
  test('what is mounted in the tree is left, and said', async () => {
    const tree = join(folder, 'mounted');
    for (const path of [tree, join(tree, 'point')]) mkdirSync(path);
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', join(tree, 'point')]);
    try {
      writeFileSync(join(tree, 'point/file'), 'x');
      await expect(removeTree(tree)).rejects.toMatchObject({ code: 'REMOVE_FAILED' });
      expect(readdirSync(join(tree, 'point'))).toEqual(['file']);
    } finally {
      execFileSync('umount', [join(tree, 'point')]);
    }
    await removeTree(tree);
    expect(existsSync(tree)).toBe(false);
  });
});
