// Starts the CLI. From TypeScript that takes a second; from a bundle a few hundredths. The bundle is made once for each
// state of the sources and lies beside the dependencies. Where nothing can be written, the sources are run as they are.
const { createHash } = require('node:crypto');
const { existsSync, readdirSync, readFileSync, statSync } = require('node:fs');
const { createRequire } = require('node:module');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { Script } = require('node:vm');

const ROOT = path.dirname(__dirname);
/** Commands of the embedded host. They are modules that are loaded as they are needed; the rest is one script. */
const OF_THE_HOST = ['up', 'engine', 'down'];

const made = path.join(ROOT, 'node_modules/.cache/wharf', fingerprint());
if (existsSync(made)) run();
else void bundled().then((isThere) => (isThere ? run() : runSources()));

/** Of names, sizes and times of all sources, of the list of dependencies, and of what V8 must be to read its cache. */
function fingerprint() {
  const hash = createHash('sha256').update(`${process.version} ${process.arch}\0`);
  const seen = (file) => {
    const { size, mtimeMs } = statSync(file);
    hash.update(`${file}\0${size}\0${mtimeMs}\0`);
  };
  // By hand: it is done at every start, and a recursive listing takes half as long again.
  const walk = (folder) => {
    const entries = readdirSync(folder, { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const inside = `${folder}/${entry.name}`;
      if (entry.isDirectory()) walk(inside);
      else if (entry.isFile()) seen(inside);
    }
  };
  walk(path.join(ROOT, 'lib'));
  for (const file of ['bin/wharf.ts', 'bin/bundle.mjs', 'package.json']) seen(path.join(ROOT, file));
  return hash.digest('hex').slice(0, 20);
}

/** False when it cannot be made here. */
async function bundled() {
  const { bundle } = await import('./bundle.mjs');
  return bundle(ROOT, made);
}

function run() {
  // No command needs the host unless its name is there. Should another argument be called so, it only takes longer.
  if (process.argv.some((argument) => OF_THE_HOST.includes(argument))) {
    void import(pathToFileURL(path.join(made, 'wharf.mjs')).href);
    return;
  }
  const filename = path.join(made, 'wharf.cjs');
  const script = new Script(readFileSync(filename, 'utf8'), {
    filename,
    cachedData: readFileSync(path.join(made, 'wharf.v8')),
  });
  script.runInThisContext()(createRequire(filename), pathToFileURL(filename).href);
}

async function runSources() {
  const { register } = await import('tsx/esm/api');
  register();
  await import('./wharf.ts');
}
