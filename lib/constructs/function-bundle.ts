/**
 * The code of a function: `lambdas/<entry>` bundled by esbuild to ES modules. What a module imports late is a chunk of its
 * own, so a cold start reads the modules of its first answer and no others (CDK's NodejsFunction makes one file of all).
 */
import { writeFileSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AssetHashType, DockerImage, type ILocalBundling } from 'aws-cdk-lib';
import { type AssetCode, Code } from 'aws-cdk-lib/aws-lambda';
import {
  type BuildOptions,
  buildSync,
  type Metafile,
  type TransformOptions,
  type TransformResult,
  transformSync,
} from 'esbuild';

/** In a checkout the functions are TypeScript; in the package they stand beside this file as JavaScript. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SUFFIX = extname(fileURLToPath(import.meta.url));

/** What a bundle has in the place of a package. */
const ALIASES = {
  // A function's credentials are in its environment.
  '@aws-sdk/credential-provider-node': `${ROOT}lib/host/aws/function-credentials${SUFFIX}`,
  // Tells browsers apart.
  bowser: `${ROOT}lib/host/aws/no-browser${SUFFIX}`,
};

/** No path of this machine gets into what is made: the same sources are the same asset. */
const BUNDLE = {
  absWorkingDir: ROOT,
  // Nothing is written there.
  outdir: 'function',
  entryNames: 'index',
  outExtension: { '.js': '.mjs' },
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node22',
  mainFields: ['module', 'main'],
  sourcemap: 'inline',
  sourcesContent: false,
  metafile: true,
  // The SDK too: the pinned one, not whichever the runtime carries.
  alias: ALIASES,
  logLevel: 'error',
} satisfies BuildOptions;

const MINIFIED = {
  minify: true,
  treeShaking: true,
  platform: 'node',
  format: 'esm',
  target: 'node22',
  sourcemap: 'external',
  sourcesContent: false,
  banner: "import{createRequire as __cr}from'module';const require=__cr(import.meta.url);",
} satisfies TransformOptions;

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
  /** Of what esbuild put together, before what nobody needs was left out of it. */
  readonly metafile: Metafile;
}

/** @param entry file of `lambdas/`, without its ending */
export function bundleFunction(entry: string): FunctionBundle {
  const { outputFiles, metafile } = buildSync({ ...BUNDLE, entryPoints: [`lambdas/${entry}${SUFFIX}`], write: false });
  const chunks = new Map(
    outputFiles.map(({ path, text }) => [basename(path), transformSync(withPlainKeys(text), MINIFIED)]),
  );
  const files = [...reachable('index.mjs', chunks)].flatMap(([name, { code, map }]) => [
    { name, text: code },
    { name: `${name}.map`, text: map },
  ]);
  const made = { files, metafile };
  bundles.set(entry, made);
  return made;
}

/** Also what is imported late by code that was left out is a chunk, which nobody would ever read. */
function reachable(name: string, chunks: Chunks, found = new Map<string, TransformResult>()): Chunks {
  const chunk = chunks.get(name);
  if (chunk === undefined || found.has(name)) return found;
  found.set(name, chunk);
  for (const [imported] of chunk.code.matchAll(/[\w-]+\.mjs\b/g)) reachable(imported, chunks, found);
  return found;
}

type Chunks = ReadonlyMap<string, TransformResult>;

/**
 * The SDK writes its schemas as `{ [_hH]: _ct }` over constants, and esbuild keeps whatever has a computed key: also the
 * schemas of calls that nobody makes, which are half of S3's. With plain keys it leaves them out.
 */
function withPlainKeys(text: string): string {
  const constants = new Map<string, string>();
  for (const [, name = '', value = ''] of text.matchAll(/^var (_\w+) = ("[^"\\]*");$/gm)) constants.set(name, value);
  return text.replaceAll(/([{,]) \[(_\w+)\]: /g, (found, before: string, name: string) => {
    const value = constants.get(name);
    return value === undefined ? found : `${before} ${value}: `;
  });
}
