/** What a function carries: only what it needs, and no more bytes than a cold start should read. */
import type { Metafile } from 'esbuild';
import { describe, expect, test } from '@jest/globals';
import { bundleFunction } from '../../lib/constructs/function-bundle.js';
import { FUNCTIONS as DEPLOYED } from './cloud.js';

/** Also what only an app with a `DockerfileImage` or a `Service` has. */
const FUNCTIONS = [...DEPLOYED, 'image-resource', 'service-resource'] as const;
type FunctionName = (typeof FUNCTIONS)[number];

/** Bytes of all chunks, minified, without source maps, as they were when somebody last looked. A rise of a tenth is a decision. */
const SIZES: Readonly<Record<FunctionName, number>> = {
  api: 952_000,
  registry: 468_000,
  builder: 870_000,
  collector: 415_000,
  reconciler: 544_000,
  'image-resource': 481_000,
  'service-resource': 169_000,
};

/** MiB that a cold start should read at most; one when absent. */
const MOST: Readonly<Partial<Record<FunctionName, number>>> = { builder: 2 };

/**
 * Parts of the embedded host, of tests and of deployment, which no function may carry. Sockets and files are read by one
 * module, git over ssh is told its keys by an agent: of these little is left.
 */
const NEVER =
  /^(node_modules\/(@aws-sdk\/(nested-clients|credential-provider-)|lmdb|msgpackr|aws-cdk-lib|constructs|cdk-nag|commander|tsx|esbuild)\/|lib\/(engine|runtime|constructs|cli)\/|lib\/host\/(?!aws|version|ecr-)|lib\/build\/sandbox\/(?!sandbox-elsewhere|index|ssh-agent)|test\/|lib\/store\/folder\/(?!file-readable|read-memory|shared-pieces))/;

/** Clients of the stores: loaded with the first call of one. */
const LATER =
  /^node_modules\/@aws-sdk\/(client-(s3|dynamodb|sqs|secrets-manager|ecs|ecr)|lib-dynamodb|s3-request-presigner)\//;

/** What a function begins with, whatever it is asked. */
const AT_ONCE: Readonly<Partial<Record<FunctionName, RegExp>>> = {
  'image-resource': /client-(s3|ecr)|s3-request-presigner/,
  'service-resource': /client-secrets-manager/,
};

/** The one function that is a client of the platform. */
const CLIENT = /^lib\/client\//;

const ALSO_NOT: Readonly<Record<FunctionName, RegExp>> = {
  // It reads layers, of any compression, for an image's archive.
  api: /^lib\/build\/(solve\/solver|steps\/step-executor|image-builder)/,
  registry: /^(lib\/(build|layers|dockerfile|platform|http)\/|node_modules\/(zod|@aws-sdk\/client-(ecs|ecr|sqs))\/)/,
  // It starts workers as tasks of ECS, from an image in ECR.
  builder: /^(lib\/http\/|node_modules\/(zod|hono)\/)/,
  collector: /^(lib\/(build|layers|dockerfile|http)\/|node_modules\/(zod|hono|@aws-sdk\/client-(ecs|ecr|sqs))\/)/,
  'image-resource': /^(lib\/(layers|dockerfile|platform|http)\/|node_modules\/(zod|hono|@aws-sdk\/client-ecs)\/)/,
  'service-resource':
    /^(lib\/(auth|build|layers|dockerfile|platform|registry)\/|node_modules\/(zod|hono|@aws-sdk\/client-(?!secrets-manager)))/,
  reconciler: /^(lib\/(build|layers|dockerfile|http)\/|node_modules\/(zod|hono|@aws-sdk\/client-sqs)\/)/,
};

interface Bundle {
  /** Of which something is in the bundle. */
  readonly files: readonly string[];
  /** Of which something is in what is read before the handler is there. */
  readonly first: readonly string[];
  readonly bytes: number;
}

/** As lib/constructs makes it. */
function bundle(name: FunctionName): Bundle {
  const { files, metafile } = bundleFunction(name);
  const { outputs } = metafile;
  const entry = Object.keys(outputs).find((output) => output.endsWith('/index.mjs')) ?? '';
  const filesOf = (output: string): readonly string[] =>
    Object.entries(outputs[output]?.inputs ?? {}).flatMap(([file, { bytesInOutput }]) =>
      bytesInOutput > 0 ? [file] : [],
    );
  const code = files.filter((file) => file.name.endsWith('.mjs'));
  const kept = Object.keys(outputs).filter((output) => code.some((file) => output.endsWith(`/${file.name}`)));
  return {
    files: kept.flatMap(filesOf),
    first: [...readWith(entry, outputs)].flatMap(filesOf),
    bytes: code.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0),
  };
}

/** The chunk, and what it cannot be without. */
function readWith(output: string, outputs: Metafile['outputs'], seen = new Set<string>()): ReadonlySet<string> {
  if (seen.has(output)) return seen;
  seen.add(output);
  for (const { path, kind } of outputs[output]?.imports ?? []) {
    if (kind === 'import-statement') readWith(path, outputs, seen);
  }
  return seen;
}

describe.each(FUNCTIONS)('the bundle of %s', (name) => {
  test('carries only what it needs, stays in its bound, and begins with no more than its first answer wants', () => {
    const { files, first, bytes } = bundle(name);
    process.stdout.write(`bundle ${name}: ${bytes} bytes, ${SIZES[name]} when last looked at\n`);
    expect(files).toContain(`lambdas/${name}.ts`);
    const isWrong = (file: string): boolean =>
      NEVER.test(file) || ALSO_NOT[name].test(file) || (CLIENT.test(file) && name !== 'service-resource');
    expect(files.filter(isWrong)).toEqual([]);
    expect(first.filter((file) => LATER.test(file) && !AT_ONCE[name]?.test(file))).toEqual([]);
    expect(bytes).toBeLessThan(Math.min(1.1 * SIZES[name], (MOST[name] ?? 1) * 1024 ** 2));
  });
});
