/**
 * The code of a function: `lambdas/<entry>` bundled by esbuild to ES modules. What a module imports late is a chunk of its
 * own, so a cold start reads the modules of its first answer and no others (CDK's NodejsFunction makes one file of all).
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AssetHashType, DockerImage, type ILocalBundling } from 'aws-cdk-lib';
import { type AssetCode, Code } from 'aws-cdk-lib/aws-lambda';
import { type BuildOptions, type BuildResult, buildSync, type Metafile } from 'esbuild';
import { withUnusedSchemas } from './unused-schemas.js';

/** In a checkout the functions are TypeScript; in the package they stand beside this file as JavaScript. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SUFFIX = extname(fileURLToPath(import.meta.url));

/** What a bundle has in the place of a package. */
const ALIASES = {
  // A function's credentials are in its environment.
  '@aws-sdk/credential-provider-node': `${ROOT}lib/host/aws/function-credentials${SUFFIX}`,
  // Tells browsers apart.
  bowser: `${ROOT}lib/host/aws/no-browser${SUFFIX}`,
  '@smithy/core/event-streams': `${ROOT}lib/host/aws/no-event-streams${SUFFIX}`,
};

const CHUNKS = {
  entryNames: 'index',
  outExtension: { '.js': '.mjs' },
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node22',
  sourcesContent: false,
  metafile: true,
  write: false,
  logLevel: 'error',
} satisfies BuildOptions;

/** No path of this machine gets into what is made: the same sources are the same asset. */
const BUNDLE = {
  ...CHUNKS,
  absWorkingDir: ROOT,
  // Nothing is written there.
  outdir: 'function',
  mainFields: ['module', 'main'],
  sourcemap: 'inline',
  // The SDK too: the pinned one, not whichever the runtime carries.
  alias: ALIASES,
  // A function hands RUN over to a worker, and with it the proxy that makes certificates.
  external: ['node-forge'],
} satisfies BuildOptions;

const MINIFIED = {
  ...CHUNKS,
  external: BUNDLE.external,
  // Beside the other, so that paths in maps stay what they are.
  outdir: 'minified',
  minify: true,
  sourcemap: 'external',
  banner: { js: "import{createRequire as __cr}from'module';const require=__cr(import.meta.url);" },
} satisfies BuildOptions;

export function functionCode(entry: string): AssetCode {
  return Code.fromAsset(join(ROOT, 'lambdas'), {
    assetHashType: AssetHashType.OUTPUT,
    // The image is what CDK would fall back to if there were no bundling here.
    bundling: { image: DockerImage.fromRegistry('none'), local: new FunctionBundling(entry) },
  });
}

const bundles = new Map<string, FunctionBundle>();

/** CDK tells assets of one folder apart by the fields of this. */
class FunctionBundling implements ILocalBundling {
  constructor(readonly entry: string) {}

  tryBundle(folder: string): boolean {
    // In one process every app that is synthesised has the same functions.
    const { files } = bundles.get(this.entry) ?? bundleFunction(this.entry);
    for (const { name, text } of files) writeFileSync(join(folder, name), text);
    return true;
  }
}

export interface FunctionBundle {
  readonly files: readonly { readonly name: string; readonly text: string }[];
  /** Of which of the sources each of them is made. */
  readonly metafile: Metafile;
}

/**
 * In two steps: what the second reads is written so that it can leave more of it out.
 * @param entry file of `lambdas/`, without its ending
 */
export function bundleFunction(entry: string): FunctionBundle {
  const bundled = buildSync({ ...BUNDLE, entryPoints: [`lambdas/${entry}${SUFFIX}`] });
  const minified = minify(new Map(bundled.outputFiles.map(({ path, text }) => [basename(path), text])));
  const texts = new Map(minified.outputFiles.map(({ path, text }) => [basename(path), text]));
  const files = [...reachable('index.mjs', texts)].flatMap((name) =>
    [name, `${name}.map`].map((file) => ({ name: file, text: texts.get(file) ?? '' })),
  );
  const made = { files, metafile: ofSources(minified.metafile, bundled.metafile) };
  bundles.set(entry, made);
  return made;
}

function minify(chunks: ReadonlyMap<string, string>): BuildResult<typeof MINIFIED> {
  const work = mkdtempSync(join(tmpdir(), 'wharf-function-'));
  try {
    mkdirSync(join(work, BUNDLE.outdir));
    for (const [name, text] of chunks) writeFileSync(join(work, BUNDLE.outdir, name), withUnusedSchemas(text));
    return buildSync({ ...MINIFIED, absWorkingDir: work, entryPoints: [`${BUNDLE.outdir}/index.mjs`] });
  } finally {
    rmSync(work, { recursive: true });
  }
}

/** Also what is imported late by code that was left out is a chunk, which nobody would ever read. */
function reachable(name: string, texts: ReadonlyMap<string, string>, found = new Set<string>()): ReadonlySet<string> {
  const text = texts.get(name);
  if (text === undefined || found.has(name)) return found;
  found.add(name);
  for (const [imported] of text.matchAll(/[\w-]+\.mjs\b/g)) reachable(imported, texts, found);
  return found;
}

/** A chunk of the second step is made of whole chunks of the first, and those are made of sources. */
function ofSources({ outputs }: Metafile, { inputs, outputs: chunks }: Metafile): Metafile {
  const made = Object.entries(outputs).map(([path, output]): [string, Metafile['outputs'][string]] => [
    path,
    { ...output, inputs: Object.assign({}, ...Object.keys(output.inputs).map((chunk) => chunks[chunk]?.inputs)) },
  ]);
  return { inputs, outputs: Object.fromEntries(made) };
}
