// Starts the CLI. From TypeScript that takes a second; from a bundle a tenth of it. The bundle is made once for each
// state of the sources and lies beside the dependencies. Where nothing can be written, the sources are run as they are.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const CACHE = join(ROOT, 'node_modules/.cache/wharf');
/** A platform that has run for long may still load parts of the bundle that it was started from. */
const KEPT = 10;

const made = join(CACHE, fingerprint());
if (existsSync(made) || (await bundle(made))) {
  await import(pathToFileURL(join(made, 'wharf.mjs')).href);
} else {
  const { register } = await import('tsx/esm/api');
  register();
  await import('./wharf.ts');
}

/** Of names, sizes and times of all sources, and of the list of dependencies. */
function fingerprint() {
  const hash = createHash('sha256');
  const seen = (path) => {
    const { size, mtimeMs } = statSync(path);
    hash.update(`${path}\0${size}\0${mtimeMs}\0`);
  };
  // By hand: it is done at every start, and a recursive listing takes half as long again.
  const walk = (folder) => {
    const entries = readdirSync(folder, { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) walk(path);
      else if (entry.isFile()) seen(path);
    }
  };
  walk(join(ROOT, 'lib'));
  for (const path of ['bin/wharf.ts', 'package.json']) seen(join(ROOT, path));
  return hash.digest('hex').slice(0, 20);
}

/** False when it cannot be made here. */
async function bundle(target) {
  const making = `${target}.${process.pid}`;
  try {
    mkdirSync(making, { recursive: true });
  } catch {
    return false;
  }
  const { build, stop } = await import('esbuild');
  await build({
    entryPoints: [join(ROOT, 'bin/wharf.ts')],
    outdir: making,
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    outExtension: { '.js': '.mjs' },
    // It has a binary of its own.
    external: ['lmdb'],
    banner: {
      js: "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);",
    },
    logLevel: 'error',
  });
  // Else its process stays as long as ours, with 200 MB.
  await stop();
  try {
    renameSync(making, target);
  } catch (error) {
    // Another process was faster.
    rmSync(making, { recursive: true, force: true });
    if (!existsSync(target)) throw error;
  }
  forgetOlder();
  return true;
}

function forgetOlder() {
  const age = (name) => statSync(join(CACHE, name), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const newestFirst = readdirSync(CACHE).sort((a, b) => age(b) - age(a));
  for (const name of newestFirst.slice(KEPT)) rmSync(join(CACHE, name), { recursive: true, force: true });
}
