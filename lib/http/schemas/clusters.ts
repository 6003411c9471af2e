/** Clusters and their container instances. */
import * as z from 'zod';
import { clusterName, timeMs } from './common.js';

export const ClusterSpec = z
  .strictObject({
    instances: z.number().int().min(0).max(1000).meta({ description: 'Container instances wanted.' }),
  })
  .meta({ id: 'ClusterSpec' });

export const Cluster = z
  .object({
    name: clusterName,
    arn: z.string(),
    status: z.enum(['active', 'deleting']),
    instances: z.object({ wanted: z.number(), registered: z.number() }),
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
