/**
 * The image of build workers, made by Wharf's own builder while the stack is deployed: a COPY of the worker's bundle over
 * a base that somebody keeps. Each version of Wharf brings its worker with it; the same sources are the same image.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Token } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { workerContextOver } from './build-worker-context.js';
import { DockerfileImage } from './dockerfile-image.js';
import type { IImageBuilder } from './image-builder.js';
import { refusedProp } from './refused-prop.js';

export interface BuildWorkerImageProps {
  readonly builder: IImageBuilder;
  /** Of the container instances. */
  readonly platform: string;
  /** As FROM names it; with the programs that `docs/aws/README.md` lists. */
  readonly baseImage: string;
}

/** @throws Error for a base whose name is known only when it is deployed: it is a line of the context */
export function buildWorkerImage(scope: Construct, id: string, props: BuildWorkerImageProps): DockerfileImage {
  const { builder, platform, baseImage } = props;
  if (Token.isUnresolved(baseImage) || !/^\S+$/.test(baseImage)) {
    throw refusedProp(
      scope.node.path,
      `baseImage is a name as FROM takes it, known at synthesis, as build-worker-base:1 or ` +
        `registry.example.org/team/base@sha256:…; this is ${JSON.stringify(baseImage)}`,
    );
  }
  const directory = mkdtempSync(join(tmpdir(), 'wharf-build-worker-image-'));
  try {
    for (const [path, text] of Object.entries(workerContextOver(baseImage))) writeFileSync(join(directory, path), text);
    return new DockerfileImage(scope, id, { directory, builder, platform });
  } finally {
    rmSync(directory, { recursive: true });
  }
}
