/** Synthesises the CDK app once for a suite, as `cdk synth` does: a process of its own, no credentials, no look-up. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

export interface Resource {
  readonly Type: string;
  readonly Properties: Readonly<Record<string, unknown>>;
  readonly DeletionPolicy?: string;
}

export interface Synthesis {
  readonly directory: string;
  /** Their names, as in `<name>.template.json`. */
  readonly stacks: readonly string[];
  resources(stack: string): Readonly<Record<string, Resource>>;
  ofType(stack: string, type: string): readonly Resource[];
  /** Folder of the bundled code of the function whose logical id starts so. */
  codeOf(stack: string, idPrefix: string): string;
  readJson(file: string): unknown;
  /** Whether anything asked for docker. */
  readonly calledDocker: boolean;
  remove(): void;
}

export interface SynthesisOptions {
  /** @default bin/app.ts */
  readonly app?: string;
  /** Whether functions are bundled. @default true */
  readonly bundles?: boolean;
  /** As `-c` says it. @default - none */
  readonly context?: Readonly<Record<string, string>>;
}

export function synthesise(options: SynthesisOptions = {}): Synthesis {
  const { app = 'bin/app.ts', bundles = true, context = {} } = options;
  const [made] = synthesiseAll([app], { bundles, context });
  if (made === undefined) throw new Error(`${app} made nothing`);
  return made;
}

export interface ManyOptions {
  readonly bundles: boolean;
  /** Whether cdk-nag looks at all of them; what it finds is in `validation-report.json` and fails nothing. @default false */
  readonly nag?: boolean;
  /** As `-c` says it. @default - none */
  readonly context?: Readonly<Record<string, string>>;
}

/** Several apps in one process, each into a folder of its own: loading CDK takes longer than synthesising. */
export function synthesiseAll(apps: readonly string[], options: ManyOptions): readonly Synthesis[] {
  const root = mkdtempSync(join(tmpdir(), 'wharf-synth-'));
  const tools = withoutDocker(root);
  const folders = apps.map((_, index) => join(root, `out-${index}`));
  const program = apps.map((app, index) => {
    const [out, entry] = [folders[index], resolve(app)].map((path) => JSON.stringify(path));
    return `process.env.CDK_OUTDIR = ${out}; await import(${entry});`;
  });
  if (options.nag === true) {
    program.unshift(`await import(${JSON.stringify(resolve('test/synth/nag-every-app.ts'))});`);
    program.push('process.exitCode = 0;');
  }
  const run = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', program.join('\n')], {
    encoding: 'utf8',
    // Nothing that looks like an account is in the environment.
    env: {
      PATH: [tools, dirname(process.execPath), '/usr/bin', '/bin'].join(':'),
      HOME: root,
      CDK_CONTEXT_JSON: JSON.stringify({
        ...options.context,
        ...(options.bundles ? {} : { 'aws:cdk:bundling-stacks': [] }),
      }),
    },
  });
  if (run.status !== 0) throw new Error(`synthesis failed (${run.status}): ${run.stdout}\n${run.stderr}`);
  let left = folders.length;
  const calledDocker = existsSync(join(tools, 'called'));
  return folders.map((directory) =>
    synthesisIn(directory, calledDocker, () => {
      left -= 1;
      if (left === 0) rmSync(root, { recursive: true, force: true });
    }),
  );
}

function synthesisIn(directory: string, calledDocker: boolean, remove: () => void): Synthesis {
  const readJson = (file: string): unknown => JSON.parse(readFileSync(join(directory, file), 'utf8'));
  const resources = (stack: string): Readonly<Record<string, Resource>> =>
    (readJson(`${stack}.template.json`) as { Resources: Record<string, Resource> }).Resources;
  return {
    directory,
    readJson,
    resources,
    calledDocker,
    remove,
    stacks: readdirSync(directory).flatMap((file) => /^(.+)\.template\.json$/.exec(file)?.[1] ?? []),
    ofType: (stack, type) => Object.values(resources(stack)).filter((resource) => resource.Type === type),
    codeOf: (stack, idPrefix) => {
      const [, fn] = Object.entries(resources(stack)).find(
        ([id, resource]) => id.startsWith(idPrefix) && resource.Type === 'AWS::Lambda::Function',
      ) ?? [undefined, undefined];
      if (fn === undefined) throw new Error(`no function ${idPrefix} in ${stack}`);
      const key = (fn.Properties['Code'] as { S3Key: string }).S3Key;
      return join(directory, `asset.${key.replace(/\.zip$/, '')}`);
    },
  };
}

/** A folder to be first in PATH, in which docker is a program that fails and leaves a trace. */
function withoutDocker(directory: string): string {
  const tools = join(directory, 'tools');
  mkdirSync(tools);
  writeFileSync(join(tools, 'docker'), '#!/bin/sh\ntouch "$(dirname "$0")/called"\nexit 127\n', { mode: 0o755 });
  return tools;
}
