/** Secrets of tasks: values go in, names come out. */
import * as z from 'zod';
import { noNul } from './containers.js';

export const secretName = z
  .string()
  .regex(/^[A-Za-z0-9_.-]+(?:\/[A-Za-z0-9_.-]+)*$/, {
    error: 'is not letters, digits and _ . - in parts between slashes',
  })
  .max(255);

export const SecretValue = z
  .strictObject({ value: noNul.min(1).meta({ description: 'At most 64 KiB; it is not shown again.' }) })
  .meta({ id: 'SecretValue' });

export const Secret = z.object({ name: secretName }).meta({ id: 'Secret' });
