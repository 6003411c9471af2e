// Bundles the program. Twice: as modules, for the servers, and as one script with what V8 makes of it when it compiles
// it, for commands that are over in a tenth of a second. Node 20 keeps nothing compiled of modules.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';

/** A platform that has run for long may still load parts of the bundle that it was started from. */
const KEPT = 10;

/** @param root of the checkout @returns false when it cannot be made there */
export async function bundle(root, target) {
  const making = `${target}.${process.pid}`;
  try {
    mkdirSync(making, { recursive: true });
  } catch {
    return false;
  }
  try {
    await make(root, making);
    renameSync(making, target);
  } catch (error) {
    rmSync(making, { recursive: true, force: true });
    // Another process may have been faster.
    if (!existsSync(target)) throw error;
  }
  forgetOlder(dirname(target));
  return true;
}

async function make(root, making) {
  const { build, stop } = await import('esbuild');
  const all = {
    entryPoints: [join(root, 'bin/wharf.ts')],
    outdir: making,
    bundle: true,
    platform: 'node',
    target: 'node20',
    // It has a binary of its own.
    external: ['lmdb'],
    logLevel: 'error',
  };
  await Promise.all([build(modules(all)), build(script(all))]);
  // Else its process stays as long as ours, with 200 MB.
  await stop();
  compile(making);
}

function modules(all) {
  return {
    ...all,
    splitting: true,
    format: 'esm',
    outExtension: { '.js': '.mjs' },
    banner: {
      js: "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);",
    },
  };
}

/** A function of `require` and of its own address. The servers are not in it. */
function script(all) {
  return {
    ...all,
    external: [...all.external, '../lib/host/embedded/*'],
    format: 'cjs',
    outExtension: { '.js': '.cjs' },
    define: { 'import.meta.url': 'address' },
    banner: { js: '(function (require, address) { const module = { exports: {} };' },
    footer: { js: '})' },
  };
}

/** Every function, and not only what runs first, so that it does not matter which command is the first one. */
function compile(folder) {
  const filename = join(folder, 'wharf.cjs');
  setFlagsFromString('--no-lazy');
  const compiled = new Script(readFileSync(filename, 'utf8'), { filename });
  // V8 reads what it wrote only under the flags of then.
  setFlagsFromString('--lazy');
  writeFileSync(join(folder, 'wharf.v8'), compiled.createCachedData());
}

function forgetOlder(cache) {
  const age = (name) => statSync(join(cache, name), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const newestFirst = readdirSync(cache).sort((a, b) => age(b) - age(a));
  for (const name of newestFirst.slice(KEPT)) rmSync(join(cache, name), { recursive: true, force: true });
}
