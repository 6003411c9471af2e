/**
 * The image of the registry's streaming front: a bundle of `lib/host/aws/registry-front-main` on an image of Node that somebody
 * else keeps, put together by a Dockerfile of COPY alone. So Wharf's own builder makes it while the stack is deployed.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Construct } from 'constructs';
import { DockerfileImage } from './dockerfile-image.js';
import type { IImageBuilder } from './image-builder.js';
import { programBundle } from './program-bundle.js';

export const FRONT_BUNDLE = 'registry-front.mjs';
/** Current Node on musl: the front has no native module. Fetched without a login. */
const BASE_IMAGE = 'public.ecr.aws/docker/library/node:24-alpine';

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
    writeFileSync(join(directory, FRONT_BUNDLE), programBundle('lib/host/aws/registry-front-main', 'node22'));
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
