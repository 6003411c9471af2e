/**
 * The image of the registry's streaming front: a bundle of `lib/host/aws/registry-front-main` on an image of Node that somebody
 * else keeps, put together by a Dockerfile of COPY alone. So Wharf's own builder makes it while the stack is deployed.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Construct } from 'constructs';
import { buildSync } from 'esbuild';
import { DockerfileImage } from './dockerfile-image.js';
import type { IImageBuilder } from './image-builder.js';

export const FRONT_BUNDLE = 'registry-front.mjs';
/** Current Node on musl: the front has no native module. Fetched without a login. */
const BASE_IMAGE = 'public.ecr.aws/docker/library/node:24-alpine';

/** In a checkout the entry is TypeScript; in the package it stands beside this file as JavaScript. */
const ENTRY = `lib/host/aws/registry-front-main${extname(fileURLToPath(import.meta.url))}`;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

let bundled: string | undefined;

export interface RegistryFrontImageProps {
  readonly builder: IImageBuilder;
  /** Of the container instances. */
  readonly platform: string;
  /** With Node 22 or newer at `/usr/local/bin/node`, and a user `node`. @default public.ecr.aws/docker/library/node:24-alpine */
  readonly baseImage?: string;
}

export function registryFrontImage(scope: Construct, id: string, props: RegistryFrontImageProps): DockerfileImage {
  const directory = mkdtempSync(join(tmpdir(), 'wharf-registry-front-'));
  try {
    writeFileSync(join(directory, FRONT_BUNDLE), frontBundle());
    writeFileSync(join(directory, 'Dockerfile'), dockerfile(props.baseImage ?? BASE_IMAGE));
    return new DockerfileImage(scope, id, { directory, builder: props.builder, platform: props.platform });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function dockerfile(base: string): string {
  return [
    `FROM ${base}`,
    `COPY --chmod=644 ${FRONT_BUNDLE} /wharf/${FRONT_BUNDLE}`,
    'ENV NODE_ENV=production',
    'USER node',
    'EXPOSE 8080',
    `ENTRYPOINT ["/usr/local/bin/node", "/wharf/${FRONT_BUNDLE}"]`,
    '',
  ].join('\n');
}

/** The same bytes for the same sources: no path of this machine is in it, so that the image is the same too. */
function frontBundle(): string {
  if (bundled !== undefined) return bundled;
  const { outputFiles } = buildSync({
    absWorkingDir: ROOT,
    entryPoints: [ENTRY],
    outfile: FRONT_BUNDLE,
    write: false,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    mainFields: ['module', 'main'],
    // Names stay, for stacks in the log.
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'none',
    banner: { js: "import{createRequire as __cr}from'module';const require=__cr(import.meta.url);" },
    logLevel: 'error',
  });
  bundled = outputFiles[0]?.text ?? '';
  return bundled;
}
