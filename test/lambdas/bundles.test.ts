/** What a function carries: only what it needs, and no more bytes than a cold start should read. */
import { build } from 'esbuild';
import { describe, expect, test } from '@jest/globals';
import { BUNDLE_OPTIONS } from './bundle-options.js';
import { FUNCTIONS as DEPLOYED } from './cloud.js';

/** Also what only an app with a `DockerfileImage` or a `Service` has. */
const FUNCTIONS = [...DEPLOYED, 'image-resource', 'service-resource'] as const;
type FunctionName = (typeof FUNCTIONS)[number];

/** Bytes, minified, without source map, as they were when somebody last looked. A rise of a tenth is a decision. */
const SIZES: Readonly<Record<FunctionName, number>> = {
  api: 1_022_000,
  registry: 548_000,
  builder: 891_000,
  collector: 476_000,
  reconciler: 655_000,
  'image-resource': 584_000,
  'service-resource': 190_000,
};

/** MiB that a cold start should read at most; one when absent. */
const MOST: Readonly<Partial<Record<FunctionName, number>>> = { builder: 2 };

/** Parts of the embedded host, of tests and of deployment, which no function may carry. */
const NEVER =
  /^(node_modules\/(@aws-sdk\/(nested-clients|credential-provider-)|lmdb|msgpackr|aws-cdk-lib|constructs|cdk-nag|commander|tsx|esbuild)\/|lib\/(engine|runtime|constructs|cli)\/|lib\/host\/(?!aws|version|ecr-)|lib\/build\/sandbox-(?!elsewhere)|test\/|lib\/store\/(?!file-readable).*-(fs|lmdb)\.ts$)/;

/** The one function that is a client of the platform. */
const CLIENT = /^lib\/client\//;

const ALSO_NOT: Readonly<Record<FunctionName, RegExp>> = {
  // It reads layers, of any compression, for an image's archive.
  api: /^lib\/build\/(solver|step-executor|image-builder)/,
  registry: /^(lib\/(build|layers|dockerfile|platform|http)\/|node_modules\/(zod|@aws-sdk\/client-(ecs|ecr|sqs))\/)/,
  // It starts workers as tasks of ECS, from an image in ECR.
  builder: /^(lib\/http\/|node_modules\/(zod|hono)\/)/,
  collector: /^(lib\/(build|layers|dockerfile|http)\/|node_modules\/(zod|hono|@aws-sdk\/client-(ecs|ecr|sqs))\/)/,
  'image-resource': /^(lib\/(layers|dockerfile|platform|http)\/|node_modules\/(zod|hono|@aws-sdk\/client-ecs)\/)/,
  'service-resource':
    /^(lib\/(auth|build|layers|dockerfile|platform|registry)\/|node_modules\/(zod|hono|@aws-sdk\/client-(?!secrets-manager)))/,
  reconciler: /^(lib\/(build|layers|dockerfile|http)\/|node_modules\/(zod|hono|@aws-sdk\/client-sqs)\/)/,
};

/** Files of which something is in the bundle, made with the settings of lib/constructs/wharf-function.ts. */
async function bundle(name: FunctionName): Promise<{ readonly files: readonly string[]; readonly bytes: number }> {
  const result = await build({
    ...BUNDLE_OPTIONS,
    entryPoints: [`lambdas/${name}.ts`],
    outfile: 'index.mjs',
    write: false,
    metafile: true,
  });
  const [output] = Object.values(result.metafile.outputs);
  const files = Object.entries(output?.inputs ?? {}).filter(([, { bytesInOutput }]) => bytesInOutput > 0);
  return { files: files.map(([file]) => file), bytes: output?.bytes ?? 0 };
}

describe.each(FUNCTIONS)('the bundle of %s', (name) => {
  test('carries only what it needs and stays in its bound', async () => {
    const { files, bytes } = await bundle(name);
    process.stdout.write(`bundle ${name}: ${bytes} bytes, ${SIZES[name]} when last looked at\n`);
    expect(files).toContain(`lambdas/${name}.ts`);
    const isWrong = (file: string): boolean =>
      NEVER.test(file) || ALSO_NOT[name].test(file) || (CLIENT.test(file) && name !== 'service-resource');
    expect(files.filter(isWrong)).toEqual([]);
    expect(bytes).toBeLessThan(Math.min(1.1 * SIZES[name], (MOST[name] ?? 1) * 1024 ** 2));
  });
});
