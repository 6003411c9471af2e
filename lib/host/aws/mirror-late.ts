/** Copies to ECR, whose client is loaded when the first image is to be copied. */
import type { Digest } from '../../oci/index.js';
import type { ImageNaming } from '../../platform/index.js';
import type { Images } from '../../registry/index.js';
import { late } from '../../store/index.js';
import type { EcrMirrorOptions } from './mirror.js';
import type { AwsStore } from './store.js';

export function openImageNaming(
  store: AwsStore,
  images: Images,
  region: string,
  options: EcrMirrorOptions,
): ImageNaming {
  const opened = late(async () => {
    const { ecrMirror } = await import('./mirror.js');
    return ecrMirror({ ...store, images }, region, options);
  });
  return async (repository: string, digest: Digest) => (await opened()).nameImage(repository, digest);
}
