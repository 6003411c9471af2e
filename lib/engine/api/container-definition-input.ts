/**
 * The container definition as a client registers it: every member of the service model, so that describe gives back
 * what register took. What this machine cannot do is refused by `runtime-support.ts`, not here.
 */
import * as z from 'zod';
import { flag, integer, keyValues, strings, text } from './input.js';

const secret = z.object({ name: text, valueFrom: text });
const stringMap = z.record(z.string(), z.string());
const port = z.int().min(0).max(65_535);

const portMapping = z
  .object({
    containerPort: port.optional(),
    hostPort: port.optional(),
    protocol: z.enum(['tcp', 'udp']).default('tcp'),
    name: z
      .string()
      .regex(/^[a-z0-9_][a-z0-9_-]{0,63}$/)
      .optional(),
    appProtocol: z.enum(['http', 'http2', 'grpc']).optional(),
    containerPortRange: text.optional(),
  })
  .refine((mapping) => mapping.containerPort !== undefined || mapping.containerPortRange !== undefined, {
    message: 'containerPort is required',
  });

const linuxParameters = z.object({
  capabilities: z.object({ add: strings.optional(), drop: strings.optional() }).optional(),
  devices: z
    .array(
      z.object({
        hostPath: text,
        containerPath: text.optional(),
        permissions: z.array(z.enum(['read', 'write', 'mknod'])).optional(),
      }),
    )
    .optional(),
  initProcessEnabled: flag.optional(),
  sharedMemorySize: integer.optional(),
  tmpfs: z.array(z.object({ containerPath: text, size: integer, mountOptions: strings.optional() })).optional(),
  maxSwap: integer.optional(),
  swappiness: z.int().min(0).max(100).optional(),
});

const healthCheck = z.object({
  command: strings.min(1),
  interval: z.int().min(5).max(300).default(30),
  timeout: z.int().min(2).max(60).default(5),
  retries: z.int().min(1).max(10).default(3),
  startPeriod: z.int().min(0).max(300).optional(),
});

const ulimit = z
  .object({
    name: z.enum([
      'core',
      'cpu',
      'data',
      'fsize',
      'locks',
      'memlock',
      'msgqueue',
      'nice',
      'nofile',
      'nproc',
      'rss',
      'rtprio',
      'rttime',
      'sigpending',
      'stack',
    ]),
    softLimit: integer,
    hardLimit: integer,
  })
  .refine((limit) => limit.hardLimit === -1 || limit.softLimit <= limit.hardLimit, 'softLimit is above hardLimit');

export const resourceRequirements = z.array(
  z.object({
    value: text.optional(),
    type: z.enum(['GPU', 'InferenceAccelerator', 'NeuronDevice']),
    sharingStrategy: text.optional(),
  }),
);
export const environmentFiles = z.array(z.object({ value: text, type: z.enum(['s3']) }));

export const containerDefinition = z.object({
  name: text.optional(),
  image: text.optional(),
  repositoryCredentials: z.object({ credentialsParameter: text }).optional(),
  cpu: z.int().min(0).default(0),
  memory: z.int().optional(),
  memoryReservation: z.int().optional(),
  links: strings.optional(),
  portMappings: z.array(portMapping).max(100).default([]),
  essential: flag.default(true),
  restartPolicy: z
    .object({
      enabled: flag,
      ignoredExitCodes: z.array(integer).max(50).optional(),
      restartAttemptPeriod: z.int().min(60).max(1800).optional(),
    })
    .optional(),
  entryPoint: strings.optional(),
  command: strings.optional(),
  environment: keyValues.default([]),
  environmentFiles: environmentFiles.optional(),
  mountPoints: z
    .array(z.object({ sourceVolume: text.optional(), containerPath: text.optional(), readOnly: flag.optional() }))
    .default([]),
  volumesFrom: z.array(z.object({ sourceContainer: text.optional(), readOnly: flag.optional() })).default([]),
  linuxParameters: linuxParameters.optional(),
  secrets: z.array(secret).optional(),
  dependsOn: z
    .array(z.object({ containerName: text, condition: z.enum(['START', 'COMPLETE', 'SUCCESS', 'HEALTHY']) }))
    .optional(),
  startTimeout: z.int().min(2).optional(),
  stopTimeout: z.int().min(0).optional(),
  versionConsistency: z.enum(['enabled', 'disabled']).optional(),
  hostname: text.optional(),
  user: text.optional(),
  workingDirectory: text.optional(),
  disableNetworking: flag.optional(),
  privileged: flag.optional(),
  readonlyRootFilesystem: flag.optional(),
  dnsServers: strings.optional(),
  dnsSearchDomains: strings.optional(),
  extraHosts: z.array(z.object({ hostname: text, ipAddress: text })).optional(),
  dockerSecurityOptions: strings.optional(),
  interactive: flag.optional(),
  pseudoTerminal: flag.optional(),
  dockerLabels: stringMap.optional(),
  ulimits: z.array(ulimit).optional(),
  logConfiguration: z
    .object({
      logDriver: z.enum(['json-file', 'syslog', 'journald', 'gelf', 'fluentd', 'awslogs', 'splunk', 'awsfirelens']),
      options: stringMap.optional(),
      secretOptions: z.array(secret).optional(),
    })
    .optional(),
  healthCheck: healthCheck.optional(),
  systemControls: z.array(z.object({ namespace: text.optional(), value: text.optional() })).default([]),
  resourceRequirements: resourceRequirements.optional(),
  firelensConfiguration: z.object({ type: z.enum(['fluentd', 'fluentbit']), options: stringMap.optional() }).optional(),
  credentialSpecs: strings.optional(),
});

export type ContainerDefinitionInput = z.infer<typeof containerDefinition>;
