/** What a function carries: only what it needs, and no more bytes than a cold start should read. */
import { build } from 'esbuild';
import { describe, expect, test } from '@jest/globals';
import { FUNCTIONS, type FunctionName } from './cloud.js';

/** Bytes, minified, without source map. A rise is to be a decision. */
const BOUNDS: Readonly<Record<FunctionName, number>> = {
  api: 1_100_000,
  registry: 730_000,
  builder: 870_000,
  reconciler: 800_000,
};

/** Parts of the embedded host, of tests and of deployment, which no function may carry. */
const NEVER =
  /^(node_modules\/(lmdb|msgpackr|aws-cdk-lib|constructs|cdk-nag|commander|tsx|esbuild)\/|lib\/(engine|runtime|constructs|cli|client)\/|lib\/host\/(?!aws|version)|lib\/build\/sandbox-|test\/|.*-(fs|lmdb)\.ts$)/;

const ALSO_NOT: Readonly<Record<FunctionName, RegExp>> = {
  // It reads layers, of any compression, for an image's archive.
  api: /^lib\/build\/(solver|step-executor|image-builder)/,
  registry: /^(lib\/(build|layers|dockerfile|platform|http)\/|node_modules\/(zod|@aws-sdk\/client-(ecs|ecr|sqs))\/)/,
  builder: /^(lib\/(platform|http)\/|node_modules\/(zod|hono|@aws-sdk\/client-(ecs|ecr))\/)/,
  reconciler: /^(lib\/(build|layers|dockerfile|http)\/|node_modules\/(zod|hono|@aws-sdk\/client-sqs)\/)/,
};

/** Files of which something is in the bundle, made with the settings of lib/constructs/wharf-function.ts. */
async function bundle(name: FunctionName): Promise<{ readonly files: readonly string[]; readonly bytes: number }> {
  const result = await build({
    entryPoints: [`lambdas/${name}.ts`],
    outfile: 'index.mjs',
    bundle: true,
    write: false,
    metafile: true,
    minify: true,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    mainFields: ['module', 'main'],
    logLevel: 'silent',
  });
  const [output] = Object.values(result.metafile.outputs);
  const files = Object.entries(output?.inputs ?? {}).filter(([, { bytesInOutput }]) => bytesInOutput > 0);
  return { files: files.map(([file]) => file), bytes: output?.bytes ?? 0 };
}

describe.each(FUNCTIONS)('the bundle of %s', (name) => {
  test('carries only what it needs and stays in its bound', async () => {
    const { files, bytes } = await bundle(name);
    process.stdout.write(`bundle ${name}: ${bytes} bytes of ${BOUNDS[name]}\n`);
    expect(files).toContain(`lambdas/${name}.ts`);
    expect(files.filter((file) => NEVER.test(file) || ALSO_NOT[name].test(file))).toEqual([]);
    expect(bytes).toBeLessThan(BOUNDS[name]);
  });
});
