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

export const TagHistoryEntry = z
  .object({ digest: digest.exactOptional().meta({ description: 'Absent: it was deleted then.' }), atMs: timeMs })
  .meta({ id: 'TagHistoryEntry' });
export const UndeleteRequest = z
  .strictObject({ digest: digest.exactOptional().meta({ description: 'The newest of its history when absent.' }) })
  .meta({ id: 'UndeleteRequest' });
export const RestoredTag = z.object({ repository: z.string(), tag: z.string(), digest }).meta({ id: 'RestoredTag' });

export const ImageCopyRequest = z
  .strictObject({
    to: z.string().min(1).meta({ description: 'host/repository[:tag]; the tag stays when absent.' }),
    referrers: z.boolean().optional().meta({ description: 'Take signatures, SBOMs and the like along.' }),
  })
  .meta({ id: 'ImageCopyRequest' });
