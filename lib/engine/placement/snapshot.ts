/**
 * What placement sees of a cluster at one moment, and what one task needs of it. Plain values: placement is a pure
 * function of these.
 */
import type { InstanceState, Resources, TaskState } from '../state/model.js';

export interface InstanceSnapshot {
  readonly id: string;
  readonly arn: string;
  readonly ec2InstanceId: string;
  readonly status: string;
  readonly agentConnected: boolean;
  readonly agentVersion: string | undefined;
  readonly capacityProviderName?: string | undefined;
  readonly registeredAtMs: number;
  readonly attributes: ReadonlyMap<string, string | undefined>;
  /** Free CPU units, MiB and GPUs; the ports are those in use. */
  readonly remaining: Resources;
  /** What it has when empty. */
  readonly registered?: Resources;
  /** Tasks that are meant to run here, by group. */
  readonly groups: ReadonlyMap<string, number>;
  readonly taskCount: number;
  readonly runningTasksCount: number;
}

export interface Snapshot {
  readonly instances: readonly InstanceSnapshot[];
  /** Host ports taken on the machine that all instances share, each as `tcp#8080`; empty when they share none. */
  readonly hostPorts: ReadonlySet<string>;
}

/** One instance with the tasks that are on it. */
export function instanceSnapshot(
  instance: InstanceState,
  tasks: readonly TaskState[],
  agentConnected = true,
): InstanceSnapshot {
  const here = tasks.filter((task) => task.instanceId === instance.id);
  const groups = new Map<string, number>();
  const meantToRun = here.filter((task) => task.desiredStatus === 'RUNNING');
  for (const task of meantToRun) groups.set(task.group, (groups.get(task.group) ?? 0) + 1);
  return {
    id: instance.id,
    arn: instance.arn,
    ec2InstanceId: instance.ec2InstanceId,
    status: instance.status,
    agentConnected,
    agentVersion: instance.versionInfo['agentVersion'],
    capacityProviderName: instance.capacityProviderName,
    registeredAtMs: instance.registeredAtMs,
    attributes: new Map(instance.attributes.map((attribute) => [attribute.name, attribute.value])),
    remaining: instance.remaining,
    registered: instance.registered,
    groups,
    taskCount: meantToRun.length,
    runningTasksCount: here.filter((task) => task.lastStatus === 'RUNNING').length,
  };
}

export function portKeys(ports: Pick<Resources, 'tcpPorts' | 'udpPorts'>): string[] {
  return [
    ...ports.tcpPorts.map((port) => `tcp#${String(port)}`),
    ...ports.udpPorts.map((port) => `udp#${String(port)}`),
  ];
}

/** The instance once a task of these needs has come to it (sign -1), or has left it (sign 1). */
export function withTask(instance: InstanceSnapshot, needs: Resources, group: string, sign: 1 | -1): InstanceSnapshot {
  const groups = new Map<string, number>();
  instance.groups.forEach((count, name) => groups.set(name, count));
  const count = (groups.get(group) ?? 0) - sign;
  if (count === 0) groups.delete(group);
  else groups.set(group, count);
  const remaining = adjusted(instance.remaining, needs, sign);
  return { ...instance, remaining, groups, taskCount: instance.taskCount - sign };
}

/** Takes from (sign -1) or gives back to (sign 1) what an instance has left. */
export function adjusted(remaining: Resources, need: Resources, sign: 1 | -1): Resources {
  return {
    cpu: remaining.cpu + sign * need.cpu,
    memoryMiB: remaining.memoryMiB + sign * need.memoryMiB,
    tcpPorts: adjustedPorts(remaining.tcpPorts, need.tcpPorts, sign),
    udpPorts: adjustedPorts(remaining.udpPorts, need.udpPorts, sign),
    ...(remaining.gpuIds === undefined ? {} : { gpuIds: adjustedGpus(remaining.gpuIds, need.gpuIds ?? [], sign) }),
  };
}

/** The needs with the GPUs that the instance gives for them: the first that it has left. */
export function withGpusOf(remaining: Resources, needs: Resources): Resources {
  if (needs.gpus === undefined) return needs;
  return { ...needs, gpuIds: (remaining.gpuIds ?? []).slice(0, needs.gpus) };
}

function adjustedGpus(left: readonly string[], need: readonly string[], sign: 1 | -1): readonly string[] {
  if (need.length === 0) return left;
  return sign === -1 ? left.filter((id) => !need.includes(id)) : [...left, ...need].sort((a, b) => (a < b ? -1 : 1));
}

function adjustedPorts(inUse: readonly number[], need: readonly number[], sign: 1 | -1): readonly number[] {
  if (need.length === 0) return inUse;
  if (sign === 1) return inUse.filter((port) => !need.includes(port));
  return [...new Set([...inUse, ...need])].sort((a, b) => a - b);
}
