/** Clusters and their container instances. */
import * as z from 'zod';
import { clusterName, timeMs } from './common.js';

export const ClusterSpec = z
  .strictObject({
    instances: z.number().int().min(0).max(1000).meta({
      description: 'Container instances wanted; the least number when there is a maximum.',
    }),
    maximum: z.number().int().min(0).max(1000).optional().meta({
      description: 'The cluster grows up to so many instances, and shrinks again, with what its tasks ask for.',
    }),
  })
  .meta({ id: 'ClusterSpec' });

export const Cluster = z
  .object({
    name: clusterName,
    arn: z.string(),
    status: z.enum(['active', 'deleting']),
    instances: z.object({ wanted: z.number(), registered: z.number(), maximum: z.number().optional() }),
    services: z.number(),
    tasks: z.object({ running: z.number(), pending: z.number() }),
    createdMs: timeMs,
  })
  .meta({ id: 'Cluster' });

const amounts = z.object({ cpu: z.number(), memory: z.number() });

export const Instance = z
  .object({
    id: z.string(),
    arn: z.string(),
    status: z.string(),
    connected: z.boolean(),
    tasks: z.object({ running: z.number(), pending: z.number() }),
    total: amounts,
    remaining: amounts,
    attributes: z.record(z.string(), z.string()),
  })
  .meta({ id: 'Instance' });
