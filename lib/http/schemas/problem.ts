/** The shape of every refusal. */
import * as z from 'zod';

export const ProblemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number(),
    detail: z.string(),
    code: z.string().meta({ description: 'Stable, UPPER_SNAKE.' }),
    hint: z.string().exactOptional(),
    requestId: z.string(),
    retryable: z.boolean(),
    errors: z.array(z.object({ in: z.string(), pointer: z.string(), detail: z.string() })).exactOptional(),
    details: z.looseObject({}).exactOptional(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457.' });
