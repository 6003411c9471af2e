/** Tasks, why some have no place, and what happened. */
import * as z from 'zod';
import { clusterName, serviceName, timeMs } from './common.js';
import { containerSpec } from './containers.js';

export const TaskSpec = z
  .strictObject({
    ...containerSpec,
    count: z
      .number()
      .int()
      .min(1)
      .max(100)
      .exactOptional()
      .meta({ description: 'So many equal tasks, answered as a TaskRun; one, answered as a Task, when absent.' }),
  })
  .meta({ id: 'TaskSpec' });

export const Task = z
  .object({
    id: z.string(),
    arn: z.string(),
    cluster: clusterName,
    service: z.string().exactOptional(),
    release: z.number().exactOptional(),
    status: z.string(),
    desiredStatus: z.string(),
    health: z.string(),
    instance: z.string().exactOptional(),
    taskDefinitionArn: z.string(),
    containers: z.array(
      z.object({
        name: z.string(),
        image: z.string().exactOptional(),
        imageDigest: z.string().exactOptional(),
        status: z.string(),
        exitCode: z.number().exactOptional(),
        reason: z.string().exactOptional(),
        health: z.string().exactOptional(),
        ports: z.array(z.object({ container: z.number(), host: z.number(), protocol: z.string() })),
      }),
    ),
    createdMs: timeMs.exactOptional(),
    startedMs: timeMs.exactOptional(),
    stoppedMs: timeMs.exactOptional(),
    stopCode: z.string().exactOptional(),
    stoppedReason: z.string().exactOptional(),
    runtime: z.string().exactOptional().meta({ description: '`simulated` where no container runs.' }),
  })
  .meta({ id: 'Task' });

export const TaskRun = z
  .object({
    tasks: z.array(Task),
    notStarted: z.number().meta({ description: 'Of those that were asked for.' }),
    failures: z
      .array(z.object({ reason: z.string(), detail: z.string().exactOptional(), arn: z.string().exactOptional() }))
      .meta({ description: "Why, in ECS's words, one for each instance that said no." }),
  })
  .meta({ id: 'TaskRun' });

const portsOrNumber = z.union([z.number(), z.array(z.number())]);

export const Placement = z
  .object({
    cluster: clusterName,
    service: serviceName.exactOptional().meta({ description: 'Of a service that waits; absent for a run.' }),
    group: z.string(),
    taskDefinitionArn: z.string(),
    tasks: z.number().meta({ description: 'Tasks that have no place.' }),
    atMs: timeMs,
    needs: z.object({
      cpu: z.number(),
      memoryMiB: z.number(),
      tcpPorts: z.array(z.number()),
      udpPorts: z.array(z.number()),
      gpus: z.number().exactOptional(),
    }),
    instances: z.array(
      z.object({
        instanceId: z.string(),
        instanceArn: z.string(),
        findings: z.array(
          z.object({
            dimension: z.string(),
            need: portsOrNumber.exactOptional(),
            have: portsOrNumber.exactOptional(),
            constraint: z.string().exactOptional(),
          }),
        ),
        bytesToPull: z
          .number()
          .exactOptional()
          .meta({ description: 'What a task would have to pull there, with the strategy wharf:locality.' }),
      }),
    ),
    smallestFix: z.string().meta({ description: 'The least that would have to change.' }),
  })
  .meta({ id: 'Placement' });

export const PlatformEvent = z
  .object({
    id: z.string(),
    timeMs,
    cluster: clusterName,
    service: z.string().exactOptional(),
    task: z.string().exactOptional(),
    instance: z.string().exactOptional(),
    type: z.string(),
    message: z.string(),
  })
  .meta({ id: 'Event' });
