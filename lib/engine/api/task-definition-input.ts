/** RegisterTaskDefinition's input and the overrides of RunTask, member for member as the service model has them. */
import * as z from 'zod';
import { containerDefinition, environmentFiles, resourceRequirements } from './container-definition-input.js';
import { flag, integer, keyValues, resourceName, strings, tags, text } from './input.js';

const stringMap = z.record(z.string(), z.string());
const ephemeralStorage = z.object({ sizeInGiB: integer });

const volume = z.object({
  name: text.optional(),
  host: z.object({ sourcePath: text.optional() }).optional(),
  dockerVolumeConfiguration: z
    .object({
      scope: z.enum(['task', 'shared']).optional(),
      autoprovision: flag.optional(),
      driver: text.optional(),
      driverOpts: stringMap.optional(),
      labels: stringMap.optional(),
    })
    .optional(),
  efsVolumeConfiguration: z.looseObject({ fileSystemId: text }).optional(),
  s3filesVolumeConfiguration: z.looseObject({ fileSystemArn: text }).optional(),
  fsxWindowsFileServerVolumeConfiguration: z.looseObject({ fileSystemId: text }).optional(),
  configuredAtLaunch: flag.optional(),
});

export const taskDefinitionBody = z.object({
  family: resourceName,
  taskRoleArn: text.optional(),
  executionRoleArn: text.optional(),
  networkMode: z.enum(['bridge', 'host', 'awsvpc', 'none']).optional(),
  containerDefinitions: z.array(containerDefinition),
  volumes: z.array(volume).default([]),
  placementConstraints: z
    .array(z.object({ type: z.enum(['memberOf']), expression: z.string().max(2000).optional() }))
    .max(10)
    .default([]),
  requiresCompatibilities: z.array(z.enum(['EC2', 'FARGATE', 'EXTERNAL', 'MANAGED_INSTANCES'])).optional(),
  cpu: text.optional(),
  memory: text.optional(),
  pidMode: z.enum(['host', 'task']).optional(),
  ipcMode: z.enum(['host', 'task', 'none']).optional(),
  proxyConfiguration: z
    .object({ type: z.enum(['APPMESH']).optional(), containerName: text, properties: keyValues.optional() })
    .optional(),
  inferenceAccelerators: z.array(z.object({ deviceName: text, deviceType: text })).optional(),
  ephemeralStorage: ephemeralStorage.optional(),
  runtimePlatform: z.object({ cpuArchitecture: text.optional(), operatingSystemFamily: text.optional() }).optional(),
  enableFaultInjection: flag.optional(),
});

export const registerTaskDefinition = taskDefinitionBody.extend({ tags: tags.optional() });
export type TaskDefinitionInput = z.infer<typeof taskDefinitionBody>;

export const taskOverride = z.object({
  containerOverrides: z
    .array(
      z.object({
        name: text.optional(),
        command: strings.optional(),
        environment: keyValues.optional(),
        environmentFiles: environmentFiles.optional(),
        cpu: z.int().min(0).optional(),
        memory: z.int().min(6).optional(),
        memoryReservation: z.int().min(6).optional(),
        resourceRequirements: resourceRequirements.optional(),
      }),
    )
    .optional(),
  cpu: text.optional(),
  memory: text.optional(),
  executionRoleArn: text.optional(),
  taskRoleArn: text.optional(),
  ephemeralStorage: ephemeralStorage.optional(),
  inferenceAcceleratorOverrides: z
    .array(z.object({ deviceName: text.optional(), deviceType: text.optional() }))
    .optional(),
});

export type TaskOverrideInput = z.infer<typeof taskOverride>;
export type ContainerOverrideInput = NonNullable<TaskOverrideInput['containerOverrides']>[number];
