/**
 * What a container is told about itself and its task: the answers of task metadata endpoint version 4, member for
 * member as the ECS agent writes them (ecs-agent/tmds/handlers/v4/state/response.go, v2/response.go).
 */
import type { HostScope } from '../../../runtime/index.js';
import type { ContainerStatus } from '../dependencies.js';
import type { ContainerRecord, TaskRecord } from '../task-records.js';
import type { ContainerPayload, TaskPayload } from '../types.js';

/** What the agent knows about a task at this moment. */
export interface TaskSnapshot {
  readonly payload: TaskPayload;
  readonly record: TaskRecord;
  readonly statusOf: (container: string) => ContainerStatus;
  readonly runtimeIdOf: (container: string) => string;
  readonly isEnding: boolean;
  /** Of the bridge the task's addresses are on. */
  readonly subnet: { readonly cidr: string; readonly gateway: string };
  readonly scope: HostScope;
}

export interface TaskTags {
  readonly task: Readonly<Record<string, string>>;
  readonly instance: Readonly<Record<string, string>>;
}

const MIB = 1024 * 1024;
const DOCKER_PREFIX = 'com.amazonaws.ecs';

export function taskView(task: TaskSnapshot, tags?: TaskTags): object {
  const { payload, record } = task;
  const { limits } = payload;
  return {
    Cluster: payload.clusterArn ?? payload.clusterName,
    TaskARN: payload.taskArn,
    Family: payload.family,
    Revision: String(payload.revision),
    DesiredStatus: desiredStatus(task),
    KnownStatus: taskStatus(task),
    ...(limits === undefined ? {} : { Limits: limitsView(limits.cpuUnits / 1024, limits.memoryBytes) }),
    PullStartedAt: time(record.pullStartedMs),
    PullStoppedAt: time(record.pullStoppedMs),
    AvailabilityZone: payload.availabilityZone,
    ...(tags === undefined ? {} : { TaskTags: filled(tags.task), ContainerInstanceTags: filled(tags.instance) }),
    LaunchType: 'EC2',
    Containers: payload.containers.map((container) => containerView(task, container)),
    ServiceName: payload.serviceName,
    Group: payload.group,
    FaultInjectionEnabled: false,
  };
}

export function containerView(task: TaskSnapshot, container: ContainerPayload): object {
  const { payload } = task;
  const record = task.record.containers[container.name];
  const status = task.statusOf(container.name);
  return {
    DockerId: task.runtimeIdOf(container.name),
    Name: container.name,
    DockerName: `ecs-${payload.family}-${payload.revision}-${container.name}-${payload.taskId.slice(0, 20)}`,
    Image: container.image,
    ImageID: record?.imageId ?? '',
    Ports: portViews(record),
    Labels: {
      ...container.labels,
      [`${DOCKER_PREFIX}.cluster`]: payload.clusterArn ?? payload.clusterName,
      [`${DOCKER_PREFIX}.container-name`]: container.name,
      [`${DOCKER_PREFIX}.task-arn`]: payload.taskArn,
      [`${DOCKER_PREFIX}.task-definition-family`]: payload.family,
      [`${DOCKER_PREFIX}.task-definition-version`]: String(payload.revision),
    },
    DesiredStatus: desiredStatus(task),
    KnownStatus: containerStatus(status, record),
    ExitCode: status.exitCode,
    Limits: limitsView(container.cpuUnits ?? 0, container.memoryBytes),
    CreatedAt: time(record?.createdMs),
    StartedAt: time(record?.startedMs),
    FinishedAt: time(record?.stoppedMs),
    Type: 'NORMAL',
    ...(container.healthCheck === undefined
      ? {}
      : { Health: { status: status.health, statusSince: time(status.healthSinceMs) } }),
    Volumes: record?.mounts?.map(({ path }) => ({ Destination: path })),
    LogDriver: container.logDriver ?? 'json-file',
    LogOptions: container.logOptions,
    ContainerARN: container.arn,
    Networks: networkViews(task, record),
    ...(container.restartPolicy === undefined ? {} : { RestartCount: record?.restarts ?? 0 }),
  };
}

function portViews(record: ContainerRecord | undefined): object[] | undefined {
  if (record === undefined || record.bindings.length === 0) return undefined;
  return record.bindings.map(({ containerPort, hostPort, protocol, bindIP }) => ({
    ContainerPort: containerPort,
    Protocol: protocol,
    HostPort: hostPort,
    HostIp: bindIP,
  }));
}

function networkViews({ payload, subnet }: TaskSnapshot, record: ContainerRecord | undefined): object[] | undefined {
  const address = record?.address;
  if (payload.networkMode === 'host') return [{ NetworkMode: 'host', IPv4Addresses: [''] }];
  if (address === undefined) return undefined;
  const network = { NetworkMode: payload.networkMode, IPv4Addresses: [address] };
  if (payload.networkMode !== 'awsvpc') return [network];
  return [
    {
      ...network,
      AttachmentIndex: 0,
      ...(record?.macAddress === undefined ? {} : { MACAddress: record.macAddress }),
      IPv4SubnetCIDRBlock: subnet.cidr,
      PrivateDNSName: `ip-${address.replaceAll('.', '-')}`,
      SubnetGatewayIpv4Address: `${subnet.gateway}/${subnet.cidr.split('/')[1] ?? ''}`,
    },
  ];
}

const desiredStatus = (task: TaskSnapshot): string => (task.isEnding ? 'STOPPED' : 'RUNNING');

/** The agent's names: what is set up is CREATED, what is fetched PULLED. */
function containerStatus({ phase }: ContainerStatus, record: ContainerRecord | undefined): string {
  if (phase === 'stopped') return 'STOPPED';
  if (phase === 'running') return 'RUNNING';
  if (record === undefined) return 'NONE';
  return record.phase === 'preparing' ? 'PULLED' : 'CREATED';
}

/** As far as the container that is least far. */
function taskStatus(task: TaskSnapshot): string {
  const phases = task.payload.containers.map(({ name }) => task.statusOf(name));
  if (phases.every(({ phase }) => phase === 'stopped')) return 'STOPPED';
  return phases.every(({ phase, started }) => phase !== 'pending' || started) ? 'RUNNING' : 'CREATED';
}

function limitsView(cpu: number, memoryBytes: number | undefined): object {
  return { CPU: cpu, ...(memoryBytes === undefined ? {} : { Memory: Math.floor(memoryBytes / MIB) }) };
}

/** RFC 3339, as Go writes a time. */
function time(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}

function filled(tags: Readonly<Record<string, string>>): Readonly<Record<string, string>> | undefined {
  return Object.keys(tags).length === 0 ? undefined : tags;
}
