/** Synthesises the CDK app once for a suite, as `cdk synth` does: a process of its own, no credentials, no look-up. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Resource {
  readonly Type: string;
  readonly Properties: Readonly<Record<string, unknown>>;
  readonly DeletionPolicy?: string;
}

export interface Synthesis {
  readonly directory: string;
  resources(stack: string): Readonly<Record<string, Resource>>;
  ofType(stack: string, type: string): readonly Resource[];
  /** Folder of the bundled code of the function whose logical id starts so. */
  codeOf(stack: string, idPrefix: string): string;
  readJson(file: string): unknown;
  remove(): void;
}

export function synthesise(): Synthesis {
  const directory = mkdtempSync(join(tmpdir(), 'wharf-synth-'));
  const run = spawnSync(process.execPath, ['--import', 'tsx', 'bin/app.ts'], {
    encoding: 'utf8',
    // No PATH entry holds docker, and nothing that looks like an account is in the environment.
    env: { PATH: '/usr/bin:/bin', HOME: directory, CDK_OUTDIR: directory },
  });
  if (run.status !== 0) throw new Error(`synthesis failed (${run.status}): ${run.stdout}\n${run.stderr}`);
  const readJson = (file: string): unknown => JSON.parse(readFileSync(join(directory, file), 'utf8'));
  const resources = (stack: string): Readonly<Record<string, Resource>> =>
    (readJson(`${stack}.template.json`) as { Resources: Record<string, Resource> }).Resources;
  return {
    directory,
    readJson,
    resources,
    ofType: (stack, type) => Object.values(resources(stack)).filter((resource) => resource.Type === type),
    codeOf: (stack, idPrefix) => {
      const [, fn] = Object.entries(resources(stack)).find(
        ([id, resource]) => id.startsWith(idPrefix) && resource.Type === 'AWS::Lambda::Function',
      ) ?? [undefined, undefined];
      if (fn === undefined) throw new Error(`no function ${idPrefix} in ${stack}`);
      const key = (fn.Properties['Code'] as { S3Key: string }).S3Key;
      return join(directory, `asset.${key.replace(/\.zip$/, '')}`);
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
