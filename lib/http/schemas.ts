/** The shapes of the API v1, once: validation, OpenAPI and tests read them here. Answers are open to new members. */
import * as z from 'zod';
import { NAME_PATTERN } from '../platform/index.js';

const name = (what: string) =>
  z
    .string()
    .regex(NAME_PATTERN, {
      error: 'is not 1 to 32 lower-case letters, digits and hyphens, a letter or digit at both ends',
    })
    .meta({ description: `Name of the ${what}: a part of a host name.` });

export const clusterName = name('cluster');
export const serviceName = name('service');
const digest = z
  .string()
  .regex(/^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/, { error: 'is not sha256:<64 hex digits>' });
export const timeMs = z.number().meta({ description: 'Epoch milliseconds.' });
const envName = z.string().regex(/^[^=\0]+$/, { error: 'is empty or has "="' });
const noNul = z.string().regex(/^[^\0]*$/, { error: 'has a NUL character' });

export const page = {
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(1000)
    .exactOptional()
    .meta({ description: 'At most so many; 100 when absent.' }),
  cursor: z.string().min(1).exactOptional().meta({ description: 'From the page before, unchanged.' }),
};

export const flag = z.enum(['true', 'false', '1', '0', '']).meta({ description: 'true, or nothing, for yes.' });

export function isSet(value: z.infer<typeof flag> | undefined): boolean {
  return value === 'true' || value === '1' || value === '';
}

export function listOf<T extends z.ZodType>(member: string, item: T) {
  return z.object({
    [member]: z.array(item),
    cursor: z.string().exactOptional().meta({ description: 'Present when more may follow.' }),
  });
}

// Clusters

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

// Services and tasks

const port = z.number().int().min(1).max(65_535);

export const PortSpec = z
  .strictObject({
    container: port,
    host: port.exactOptional().meta({ description: 'A fixed port of the host; a free one when absent.' }),
    protocol: z.enum(['tcp', 'udp']).exactOptional(),
  })
  .meta({ id: 'PortSpec' });

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

const containerSpec = {
  image: z.string().min(1).max(500).meta({ description: '`repository[:tag][@digest]` in this registry.' }),
  command: z.array(noNul).max(1000).exactOptional(),
  entrypoint: z.array(noNul).max(1000).exactOptional(),
  env: z.record(envName, noNul).exactOptional(),
  ports: z.array(PortSpec).max(100).exactOptional().meta({ description: "The image's EXPOSEd ports when absent." }),
  cpu: z.number().int().min(2).max(196_608).exactOptional().meta({ description: 'ECS CPU units; 1,024 are one core.' }),
  memory: z.number().int().min(6).max(4_000_000).exactOptional().meta({ description: 'MiB, a hard limit.' }),
  user: z.string().min(1).exactOptional(),
  workingDirectory: z.string().regex(/^\//, { error: 'is not an absolute path' }).exactOptional(),
  readonlyRootFilesystem: z.boolean().exactOptional(),
  stopTimeoutSeconds: z.number().int().min(1).max(3600).exactOptional(),
};

export const ServiceSpec = z
  .strictObject({
    ...containerSpec,
    count: z.number().int().min(0).max(5000).meta({ description: 'Tasks wanted.' }),
    health: HealthSpec.exactOptional(),
  })
  .meta({ id: 'ServiceSpec' });

export const TaskSpec = z.strictObject(containerSpec).meta({ id: 'TaskSpec' });

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
      }),
    ),
    smallestFix: z.string().meta({ description: 'The least that would have to change.' }),
  })
  .meta({ id: 'Placement' });

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
  })
  .meta({ id: 'Task' });

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

// Builds and images

const tag = z.string().min(1).max(400).meta({ description: '`repository[:tag]` in this registry.' });

const words = z.record(z.string().min(1), z.string());

export const BuildCompression = z
  .strictObject({
    type: z.enum(['gzip', 'zstd', 'none']),
    level: z.number().int().min(0).max(22).exactOptional().meta({ description: '0 to 9 for gzip, 1 to 22 for zstd.' }),
  })
  .meta({ id: 'BuildCompression' });

export const BuildRequest = z
  .strictObject({
    context: digest.meta({ description: 'Of a context that was uploaded to /v1/contexts.' }),
    dockerfile: z.string().min(1).exactOptional(),
    tags: z.array(tag).max(50),
    target: z.string().min(1).exactOptional(),
    args: z.record(z.string(), z.string()).exactOptional(),
    labels: z.record(z.string(), z.string()).exactOptional(),
    platform: z.string().exactOptional(),
    platforms: z
      .array(z.string())
      .min(1)
      .max(20)
      .exactOptional()
      .meta({ description: 'Several platforms: the result is an image index.' }),
    noCache: z.boolean().exactOptional(),
    noCacheFilter: z.array(z.string().min(1)).max(100).exactOptional().meta({ description: 'Stages to make anew.' }),
    compression: BuildCompression.exactOptional(),
    annotations: z
      .strictObject({
        manifest: words.exactOptional(),
        index: words.exactOptional(),
        manifestDescriptor: words.exactOptional(),
      })
      .exactOptional(),
    check: z.boolean().exactOptional().meta({ description: 'Build nothing: parse, plan and lint.' }),
    plan: z.boolean().exactOptional().meta({ description: 'Build nothing: expected hits, misses, steps and bytes.' }),
    outline: z.boolean().exactOptional().meta({ description: 'Build nothing: what the target takes.' }),
    targets: z.boolean().exactOptional().meta({ description: 'Build nothing: the stages that may be targets.' }),
  })
  .meta({ id: 'BuildRequest' });

/** The same as a query, for a build whose body is the tar itself. */
export const BuildQuery = z.strictObject({
  tag: z.array(tag).max(50).exactOptional(),
  target: z.string().min(1).exactOptional(),
  dockerfile: z.string().min(1).exactOptional(),
  arg: z.array(z.string().regex(/^[^=]+=/, { error: 'is not NAME=value' })).exactOptional(),
  label: z.array(z.string().regex(/^[^=]+=/, { error: 'is not name=value' })).exactOptional(),
  platform: z.array(z.string()).max(20).exactOptional(),
  'no-cache': flag.exactOptional(),
  'no-cache-filter': z.array(z.string().min(1)).max(100).exactOptional(),
  compression: z
    .string()
    .regex(/^(gzip|zstd|none)(:\d{1,2})?$/, { error: 'is not gzip, zstd or none with an optional :<level>' })
    .exactOptional(),
  annotation: z
    .array(
      z.string().regex(/^((manifest|index|manifest-descriptor):)?[^=]+=/, { error: 'is not [<where>:]name=value' }),
    )
    .exactOptional(),
  check: flag.exactOptional(),
  plan: flag.exactOptional(),
  outline: flag.exactOptional(),
  targets: flag.exactOptional(),
});

const descriptor = z.looseObject({ mediaType: z.string(), digest, size: z.number() }).meta({ id: 'Descriptor' });

export const Build = z
  .object({
    id: z.string(),
    status: z.enum(['queued', 'running', 'succeeded', 'failed', 'cancelled']),
    request: BuildRequest,
    createdMs: timeMs,
    startedMs: timeMs.exactOptional(),
    finishedMs: timeMs.exactOptional(),
    result: z
      .object({
        digest,
        imageId: digest,
        tags: z.array(z.string()),
        layers: z.array(descriptor),
        steps: z.array(
          z.object({
            name: z.string(),
            instruction: z.string(),
            cached: z.boolean(),
            reason: z.string().exactOptional().meta({ description: 'Why it was not in the cache.' }),
            milliseconds: z.number(),
            layerBytes: z.number().exactOptional(),
            layerDigest: digest.exactOptional(),
          }),
        ),
        stepsCached: z.number(),
        platforms: z
          .array(z.object({ platform: z.string(), digest, imageId: digest, layers: z.array(descriptor) }))
          .exactOptional()
          .meta({ description: 'Of an index.' }),
      })
      .exactOptional(),
    report: z
      .looseObject({ kind: z.enum(['check', 'plan', 'outline', 'targets']) })
      .exactOptional()
      .meta({ description: 'Of a request that builds nothing.' }),
    error: z.looseObject({ code: z.string(), message: z.string() }).exactOptional(),
  })
  .meta({ id: 'Build' });

export const Context = z.object({ digest, sizeBytes: z.number() }).meta({ id: 'Context' });

export const Tag = z.object({ tag: z.string(), digest, updatedMs: timeMs }).meta({ id: 'Tag' });

export const Image = z
  .object({
    repository: z.string(),
    tag: z.string().exactOptional(),
    digest,
    mediaType: z.string(),
    imageId: digest.exactOptional(),
    platform: z.string().exactOptional(),
    config: z.looseObject({}).exactOptional(),
    layers: z.array(descriptor).exactOptional(),
    manifests: z.array(descriptor).exactOptional().meta({ description: 'Of an image index.' }),
    sizeBytes: z.number().meta({ description: 'Compressed bytes of all layers.' }),
  })
  .meta({ id: 'Image' });

// Tokens

export const role = z.enum(['admin', 'deploy', 'read']);

export const TokenRequest = z
  .strictObject({
    name: z.string().min(1).max(100),
    role,
    expiresInSeconds: z.number().int().min(1).exactOptional(),
  })
  .meta({ id: 'TokenRequest' });

const tokenMembers = {
  id: z.string(),
  name: z.string(),
  role,
  createdMs: timeMs,
  expiresAtMs: timeMs.exactOptional(),
};
export const Token = z.object(tokenMembers).meta({ id: 'Token' });
export const CreatedToken = z
  .object({ ...tokenMembers, token: z.string().meta({ description: 'Shown this once.' }) })
  .meta({ id: 'CreatedToken' });

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
