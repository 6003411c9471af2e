/** Source policies: BuildKit's own JSON, so that its files are taken as they are. */
import * as z from 'zod';

export const SourcePolicy = z
  .strictObject({
    version: z.literal(1).exactOptional(),
    rules: z
      .array(
        z.strictObject({
          action: z.enum(['ALLOW', 'DENY', 'CONVERT']).exactOptional().meta({ description: 'ALLOW when absent.' }),
          selector: z.strictObject({
            identifier: z
              .string()
              .min(1)
              .max(4096)
              .meta({ description: '`docker-image://docker.io/library/alpine:*`' }),
            match_type: z.enum(['WILDCARD', 'EXACT', 'REGEX']).exactOptional(),
            constraints: z
              .array(
                z.strictObject({
                  key: z.string().min(1),
                  value: z.string().exactOptional(),
                  condition: z.enum(['EQUAL', 'NOTEQUAL', 'MATCHES']).exactOptional(),
                }),
              )
              .max(20)
              .exactOptional(),
          }),
          updates: z
            .strictObject({
              identifier: z.string().exactOptional(),
              attrs: z.record(z.string().min(1), z.string()).exactOptional(),
            })
            .exactOptional(),
        }),
      )
      .max(500),
  })
  .meta({ id: 'SourcePolicy' });
