/** Caches of other builders: where a build looks for steps, and where it puts them down. */
import * as z from 'zod';
import { digest } from './common.js';

const cacheRef = z
  .string()
  .min(1)
  .max(400)
  .meta({ description: 'Of this registry when it has no host; the tag is latest when absent.' });

/** Where steps are looked for that are not in our own cache. */
export const CacheSource = z
  .discriminatedUnion('type', [
    z.strictObject({ type: z.literal('registry'), ref: cacheRef }),
    z.strictObject({
      type: z.literal('local'),
      layout: digest.meta({ description: 'Of a context that is the folder, uploaded to /v1/contexts.' }),
      reference: z.string().min(1).exactOptional().meta({ description: 'Tag or digest in its index.json.' }),
    }),
  ])
  .meta({ id: 'CacheSource' });

const cacheForm = {
  mode: z.enum(['min', 'max']).exactOptional().meta({ description: 'min when absent: what the image consists of.' }),
  imageManifest: z.boolean().exactOptional(),
  ociMediaTypes: z.boolean().exactOptional(),
  ignoreError: z.boolean().exactOptional().meta({ description: 'Not written is a warning and no failure.' }),
};

/** Where the steps of a build are put down for other builders. */
export const CacheTarget = z
  .discriminatedUnion('type', [
    z.strictObject({ type: z.literal('registry'), ref: cacheRef, ...cacheForm }),
    z
      .strictObject({ type: z.literal('local'), ...cacheForm })
      .meta({ description: 'Fetched from /v1/builds/{id}/cache.' }),
    z.strictObject({ type: z.literal('inline') }).meta({ description: 'In the config of the image.' }),
  ])
  .meta({ id: 'CacheTarget' });
