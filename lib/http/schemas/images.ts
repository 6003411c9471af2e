/** Images and tags of the registry. */
import * as z from 'zod';
import { descriptor, digest, timeMs } from './common.js';

export const Tag = z.object({ tag: z.string(), digest, updatedMs: timeMs }).meta({ id: 'Tag' });

export const Image = z
  .object({
    repository: z.string(),
    tag: z.string().exactOptional(),
    digest,
    mediaType: z.string(),
    imageId: digest.exactOptional(),
    platform: z.string().exactOptional(),
    config: z.looseObject({}).exactOptional(),
    layers: z.array(descriptor).exactOptional(),
    manifests: z.array(descriptor).exactOptional().meta({ description: 'Of an image index.' }),
    sizeBytes: z.number().meta({ description: 'Compressed bytes of all layers.' }),
  })
  .meta({ id: 'Image' });
