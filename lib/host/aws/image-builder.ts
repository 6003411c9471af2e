/**
 * What makes images in the builder function. Loaded when a build begins: messages of builds that have ended, and what
 * the schedule asks every minute, do without it.
 */
import { type BuildFunction, ImageBuilder, sandboxElsewhere } from '../../build/index.js';
import { parsePlatform } from '../../oci/index.js';
import type { Registry } from '../../registry/index.js';
import { openAwsImages } from './caches.js';
import { openRemoteImages } from './remote-images.js';
import { operatorsPolicy } from './source-policy.js';
import type { AwsStore } from './store.js';

export interface AwsImageBuilderOptions {
  /** What images are built for unless asked otherwise. */
  readonly platform: string;
  /** `yes` when a base name without a host may mean Docker Hub. */
  readonly dockerHub: string;
  /** The operator's, packed. */
  readonly sourcePolicy?: string;
  /** Whether a RUN that is not in the cache goes on in a worker; it fails otherwise. */
  readonly hasWorkers: boolean;
}

export function openImageBuilder(
  store: AwsStore,
  registry: Registry,
  { platform, dockerHub, sourcePolicy, hasWorkers }: AwsImageBuilderOptions,
): BuildFunction {
  const { build } = new ImageBuilder(
    {
      ...store,
      images: openAwsImages(store, registry),
      remote: openRemoteImages(store),
      ...(hasWorkers ? { sandbox: sandboxElsewhere } : {}),
    },
    { platform: parsePlatform(platform), allowDockerHub: dockerHub === 'yes', ...operatorsPolicy(sourcePolicy) },
  );
  return build;
}
