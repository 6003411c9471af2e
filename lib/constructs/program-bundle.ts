/** A program of Wharf's that goes into an image: one file by esbuild, out of the sources that this file stands among. */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

/** In a checkout the entries are TypeScript; in the package they stand there as JavaScript. */
const SUFFIX = extname(fileURLToPath(import.meta.url));
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const bundled = new Map<string, string>();

/**
 * The same bytes for the same sources: no path of this machine is in it, so that the image is the same too.
 * @param entry from the root, without its suffix
 * @param target the oldest Node that runs it, as `node22`
 */
export function programBundle(entry: string, target: string): string {
  const key = `${entry} ${target}`;
  const found = bundled.get(key);
  if (found !== undefined) return found;
  const { outputFiles } = buildSync({
    absWorkingDir: ROOT,
    entryPoints: [`${entry}${SUFFIX}`],
    // Nothing is written there.
    outfile: 'program.mjs',
    write: false,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target,
    mainFields: ['module', 'main'],
    // Names stay, for stacks in the log.
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'none',
    banner: { js: "import{createRequire as __cr}from'module';const require=__cr(import.meta.url);" },
    logLevel: 'error',
  });
  const text = outputFiles[0]?.text ?? '';
  bundled.set(key, text);
  return text;
}
