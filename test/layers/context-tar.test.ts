/** A context as an asset: what counts for its hash, and that the builder's reader takes it. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { openContextFolder } from '../../lib/layers/context/context-folder-fs.js';
import { writeContextTar } from '../../lib/layers/context/context-tar-fs.js';
import { readContext } from '../../lib/layers/index.js';

let work: string;
let folder: string;

beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), 'wharf-context-tar-'));
  folder = join(work, 'app');
  await mkdir(join(folder, 'empty'), { recursive: true });
  await writeFile(join(folder, 'Dockerfile'), 'FROM scratch\n');
  await writeFile(join(folder, 'large'), Buffer.alloc(2_500_001, 'x'));
  await writeFile(join(folder, 'notes.md'), 'notes');
  await symlink('large', join(folder, 'link'));
});
afterEach(() => rm(work, { recursive: true, force: true }));

let made = 0;
function pack(exclude: readonly string[] = []): { readonly hash: string; readonly file: string } {
  const file = join(work, `${made++}.tar`);
  return { file, hash: writeContextTar(openContextFolder(work, 'app', { exclude }).look(), file) };
}

test('a context tar is read by the builder as what the folder holds, all of one date', async () => {
  const { file, hash } = pack();
  expect(
    createHash('sha256')
      .update(await readFile(file))
      .digest('hex'),
  ).toBe(hash);
  const found: Record<string, string> = {};
  for await (const { entry, body } of readContext(createReadStream(file))) {
    let bytes = 0;
    for await (const chunk of body) bytes += chunk.length;
    found[entry.path] = `${entry.type} ${bytes} ${new Date(entry.mtimeSeconds * 1000).getUTCFullYear()}`;
  }
  expect(found).toEqual({
    Dockerfile: 'file 13 1980',
    empty: 'directory 0 1980',
    large: 'file 2500001 1980',
    link: 'symlink 0 1980',
    'notes.md': 'file 5 1980',
  });
});

test('dates on the disk do not change a context, content and modes do', async () => {
  const first = pack().hash;
  await utimes(join(folder, 'large'), 1, 1);
  expect(pack().hash).toBe(first);
  await chmod(join(folder, 'large'), 0o755);
  const executable = pack().hash;
  await writeFile(join(folder, 'notes.md'), 'other');
  expect(new Set([first, executable, pack().hash]).size).toBe(3);
});

test('what is excluded does not count', async () => {
  const first = pack(['*.md']).hash;
  await writeFile(join(folder, 'notes.md'), 'other');
  expect(pack(['*.md']).hash).toBe(first);
  expect(pack().hash).not.toBe(first);
});
