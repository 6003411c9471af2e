/** What several families of the API's shapes are made of. */
import * as z from 'zod';
import { NAME_PATTERN } from '../../platform/index.js';

const name = (what: string) =>
  z
    .string()
    .regex(NAME_PATTERN, {
      error: 'is not 1 to 32 lower-case letters, digits and hyphens, a letter or digit at both ends',
    })
    .meta({ description: `Name of the ${what}: a part of a host name.` });

export const clusterName = name('cluster');
export const serviceName = name('service');
export const digest = z
  .string()
  .regex(/^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/, { error: 'is not sha256:<64 hex digits>' });
export const timeMs = z.number().meta({ description: 'Epoch milliseconds.' });

export const page = {
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(1000)
    .exactOptional()
    .meta({ description: 'At most so many; 100 when absent.' }),
  cursor: z.string().min(1).exactOptional().meta({ description: 'From the page before, unchanged.' }),
};

export const flag = z.enum(['true', 'false', '1', '0', '']).meta({ description: 'true, or nothing, for yes.' });

export function isSet(value: z.infer<typeof flag> | undefined): boolean {
  return value === 'true' || value === '1' || value === '';
}

export function listOf<T extends z.ZodType>(member: string, item: T) {
  return z.object({
    [member]: z.array(item),
    cursor: z.string().exactOptional().meta({ description: 'Present when more may follow.' }),
  });
}

export const descriptor = z.looseObject({ mediaType: z.string(), digest, size: z.number() }).meta({ id: 'Descriptor' });
