/**
 * The small parts that input schemas are made of, and the one place where a schema's complaint becomes the sentence a
 * client reads. Unknown members are dropped, as ECS does; a null counts as absent, as JSON 1.1 has it.
 */
import * as z from 'zod';
import { invalidParameter, type EcsError } from '../ecs-error.js';
import { LOCALITY } from '../placement/locality.js';

export const text = z.string();
export const flag = z.boolean();
export const integer = z.int();
export const strings = z.array(text);
export const maxResults = (most = 100) => z.int().min(1).max(most).optional();
export const nextToken = text.optional();
export const cluster = text.min(1).optional();

/** 1 to 255 letters, digits, hyphens and underscores. */
export const resourceName = z
  .string()
  .regex(/^[a-zA-Z0-9_-]{1,255}$/, 'up to 255 letters, numbers, underscores, and hyphens');

const tagText = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;
export const tags = z
  .array(
    z.object({
      key: z
        .string()
        .min(1)
        .max(128)
        .regex(tagText)
        .refine((key) => !/^aws:/i.test(key), 'the prefix aws: is reserved'),
      value: z.string().max(256).regex(tagText).default(''),
    }),
  )
  .max(50)
  .refine((list) => new Set(list.map((tag) => tag.key)).size === list.length, 'duplicate keys');

export const keyValues = z.array(z.object({ name: text.optional(), value: text.optional() }));

/** Attribute names and values: 1 to 128 characters, no space at the edges. */
export const attribute = z.object({
  name: z
    .string()
    .min(1)
    .max(128)
    .regex(/^[a-zA-Z0-9_./\\-]+$/, 'letters, numbers, hyphens, underscores, dots and slashes'),
  value: z
    .string()
    .min(1)
    .max(128)
    .regex(/^\S(.*\S)?$/, 'no leading or trailing space')
    .optional(),
});

export const capacityProviderStrategy = z.array(
  z.object({
    capacityProvider: text.min(1),
    weight: z.int().min(0).max(1000).optional(),
    base: z.int().min(0).max(100_000).optional(),
  }),
);

export const placementConstraints = z
  .array(
    z.object({
      type: z.enum(['distinctInstance', 'memberOf']),
      expression: z.string().max(2000).optional(),
    }),
  )
  .max(10);

export const placementStrategy = z
  .array(z.object({ type: z.enum(['random', 'spread', 'binpack', LOCALITY]), field: text.optional() }))
  .max(5);

/** Parses one operation's input. @throws InvalidParameterException naming the first member that is wrong */
export function parseInput<T>(schema: z.ZodType<T>, raw: unknown): T {
  const result = schema.safeParse(withoutNulls(raw));
  if (result.success) return result.data;
  throw complaint(result.error);
}

function complaint(error: z.ZodError): EcsError {
  const issue = error.issues[0];
  if (issue === undefined) return invalidParameter('Invalid request.');
  const path = issue.path
    .map((part) => (typeof part === 'number' ? `[${String(part)}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '');
  const where = path === '' ? 'request' : path;
  return invalidParameter(`Invalid parameter ${where}: ${issue.message}.`);
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== null)
      .map(([name, member]) => [name, withoutNulls(member)]),
  );
}

export const networkConfiguration = z.object({
  awsvpcConfiguration: z
    .object({
      subnets: strings,
      securityGroups: strings.optional(),
      assignPublicIp: z.enum(['ENABLED', 'DISABLED']).optional(),
    })
    .optional(),
});
