/** `bin/wharf.cjs` runs what the sources say, whether or not a bundle of an earlier state lies there. */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from '@jest/globals';

let checkout: string;
let cache: string;

beforeEach(async () => {
  checkout = await mkdtemp(join(tmpdir(), 'wharf-start-'));
  cache = join(checkout, 'node_modules/.cache/wharf');
  for (const part of ['bin', 'lib', 'package.json', 'tsconfig.json']) {
    await cp(resolve(part), join(checkout, part), { recursive: true });
  }
  await mkdir(join(checkout, 'node_modules'));
  for (const name of await readdir(resolve('node_modules'))) {
    if (!name.startsWith('.')) await symlink(resolve('node_modules', name), join(checkout, 'node_modules', name));
  }
});
afterEach(() => rm(checkout, { recursive: true, force: true }));

async function node(...args: readonly string[]): Promise<string> {
  const env = { ...process.env, NODE_OPTIONS: '' };
  return (await promisify(execFile)(process.execPath, [...args], { env })).stdout.trim();
}

const version = (): Promise<string> => node(join(checkout, 'bin/wharf.cjs'), '--version');

const become = (text: string) =>
  writeFile(join(checkout, 'lib/host/version.ts'), `export const VERSION = '${text}';\n`);

test('several starts at once make one bundle, and a change of the sources another', async () => {
  await become('1.0.0-first');
  expect(await Promise.all([version(), version(), version()])).toEqual(Array(3).fill('1.0.0-first'));
  expect(await readdir(cache)).toHaveLength(1);

  await become('1.0.0-second');
  expect(await version()).toBe('1.0.0-second');
  expect(await readdir(cache)).toHaveLength(2);
}, 120_000);

test('commands are run as V8 compiled them beforehand, and servers from the same sources', async () => {
  await become('1.0.0-compiled');
  expect(await version()).toBe('1.0.0-compiled');
  const [name = ''] = await readdir(cache);
  const look = `
    const { readFileSync } = require('node:fs');
    const [filename, cached] = process.argv.slice(1);
    const script = new (require('node:vm').Script)(readFileSync(filename, 'utf8'), { filename, cachedData: readFileSync(cached) });
    console.log(script.cachedDataRejected);`;
  const bundle = join(cache, name);
  expect(await node('-e', look, join(bundle, 'wharf.cjs'), join(bundle, 'wharf.v8'))).toBe('false');

  // The name of a server among the arguments: the modules are run.
  await rm(join(bundle, 'wharf.cjs'));
  expect(await node(join(checkout, 'bin/wharf.cjs'), 'up', '--help')).toContain('wharf up');
}, 120_000);

test('the sources are run as they are where no bundle can be written', async () => {
  await become('1.0.0-here');
  await mkdir(join(checkout, 'node_modules/.cache'));
  await writeFile(cache, 'a file where the folder should be');

  expect(await version()).toBe('1.0.0-here');
}, 120_000);
