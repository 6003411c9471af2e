/** Services: what is wanted, its releases and deployments. */
import * as z from 'zod';
import { clusterName, digest, serviceName, timeMs } from './common.js';
import { containerSpec, noNul, PortSpec } from './containers.js';

const healthTimes = {
  intervalSeconds: z.number().int().min(5).max(300).exactOptional(),
  timeoutSeconds: z.number().int().min(2).max(60).exactOptional(),
  retries: z.number().int().min(1).max(10).exactOptional(),
  startPeriodSeconds: z.number().int().min(0).max(300).exactOptional(),
};

export const HealthSpec = z
  .union([
    z.strictObject({ command: z.array(noNul).min(1), ...healthTimes }),
    z.strictObject({ path: z.string().regex(/^\/[^\s]*$/, { error: 'does not start with "/"' }), ...healthTimes }),
  ])
  .meta({ id: 'HealthSpec', description: 'A command in the container, or an HTTP path of its first TCP port.' });

export const ServiceSpec = z
  .strictObject({
    ...containerSpec,
    count: z.number().int().min(0).max(5000).meta({ description: 'Tasks wanted.' }),
    health: HealthSpec.exactOptional(),
  })
  .meta({ id: 'ServiceSpec' });

export const Deployment = z
  .object({
    id: z.string(),
    cluster: clusterName,
    service: serviceName,
    release: z.number(),
    status: z.enum(['pending', 'in-progress', 'completed', 'failed', 'rolled-back', 'superseded']),
    reason: z.string().exactOptional(),
    rolledBackTo: z.number().exactOptional(),
    taskDefinitionArn: z.string().exactOptional(),
    ecsDeploymentId: z.string().exactOptional(),
    createdMs: timeMs,
    finishedMs: timeMs.exactOptional(),
  })
  .meta({ id: 'Deployment' });

export const Release = z
  .object({
    number: z.number(),
    spec: ServiceSpec,
    image: z.object({ repository: z.string(), digest, tag: z.string().exactOptional() }),
    ports: z.array(PortSpec),
    createdMs: timeMs,
    rollbackOf: z.number().exactOptional(),
  })
  .meta({ id: 'Release' });

export const Service = z
  .object({
    cluster: clusterName,
    name: serviceName,
    status: z.enum(['active', 'deleting']),
    release: z.number().meta({ description: 'The newest release.' }),
    currentRelease: z.number().exactOptional().meta({ description: 'The last one that was deployed completely.' }),
    image: z.string(),
    count: z.object({ desired: z.number(), running: z.number(), pending: z.number() }),
    deployment: Deployment.exactOptional(),
    url: z.string().exactOptional(),
    createdMs: timeMs,
    updatedMs: timeMs,
  })
  .meta({ id: 'Service' });

export const Deployed = z
  .object({ service: Service, release: Release, deployment: Deployment, changed: z.boolean() })
  .meta({ id: 'Deployed' });

export const RollbackRequest = z
  .strictObject({
    release: z
      .number()
      .int()
      .min(1)
      .exactOptional()
      .meta({ description: 'The last complete one before the newest when absent.' }),
  })
  .meta({ id: 'RollbackRequest' });
