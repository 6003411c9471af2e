/** Stacks of a bundle, told as the sources have them. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { transform } from 'esbuild';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { inSources, withSourcePositions } from '../../lib/host/aws/source-positions.js';

const SOURCE = [
  'interface Fine { readonly it: string }',
  '',
  'export function breaks(it: Fine): never {',
  '  throw new TypeError(`no ${it.it}`);',
  '}',
  '',
].join('\n');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wharf-positions-'));
  const options = { loader: 'ts', minify: true, format: 'esm', sourcemap: 'external' } as const;
  const { code, map } = await transform(SOURCE, { ...options, sourcefile: '../../lib/some/breaks.ts' });
  await writeFile(join(folder, 'index.mjs'), code);
  await writeFile(join(folder, 'index.mjs.map'), map);
  await writeFile(join(folder, 'bare.mjs'), code);
});
afterAll(() => rm(folder, { recursive: true }));

/** From a process of its own: the names of files are another matter under Jest. */
async function thrownIn(file: string): Promise<string> {
  const url = JSON.stringify(pathToFileURL(join(folder, file)).href);
  const program = `import { breaks } from ${url}; try { breaks({ it: 'luck' }); } catch (e) { process.stdout.write(e.stack); }`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program]);
  return stdout;
}

test('name the line and the column of the source', async () => {
  const error = Object.assign(new TypeError('no luck'), { stack: await thrownIn('index.mjs') });
  expect(withSourcePositions(error)).toBe(error);
  expect(error.stack).toMatch(/^TypeError: no luck\n.*\(lib\/some\/breaks\.ts:4:9\)/);
});

test('stay as they are without a map, and of what is no error', async () => {
  const stack = await thrownIn('bare.mjs');
  expect(stack).toMatch(/bare\.mjs:1:\d+/);
  expect(inSources(stack)).toBe(stack);
  expect(withSourcePositions('thrown')).toBe('thrown');
});
