/** An ECS task as ours: from the SDK's answer (dates) or from an event (ISO text), which differ only in that. */
import { defined } from './values/index.js';
import type { Task, TaskContainer } from './types.js';

/** A task with ECS's own version of it: a view is replaced only by a newer one. */
export interface TaskProjection extends Task {
  readonly ecsVersion: number;
  readonly startedBy?: string;
}

/** An attribute that the local engine gives to tasks which are only played. */
const RUNTIME = 'wharf.runtime';

type Fields = Readonly<Record<string, unknown>>;

/** @param cluster name, for tasks whose ARN is of the old short form */
export function projectTask(source: object, cluster: string): TaskProjection {
  const task = source as Fields;
  const arn = text(task['taskArn']) ?? '';
  const group = text(task['group']) ?? '';
  return defined({
    id: lastPart(arn),
    arn,
    cluster,
    service: group.startsWith('service:') ? group.slice('service:'.length) : undefined,
    status: text(task['lastStatus']) ?? 'UNKNOWN',
    desiredStatus: text(task['desiredStatus']) ?? 'UNKNOWN',
    health: text(task['healthStatus']) ?? 'UNKNOWN',
    instance: map(text(task['containerInstanceArn']), lastPart),
    taskDefinitionArn: text(task['taskDefinitionArn']) ?? '',
    containers: list(task['containers']).map(projectContainer),
    createdMs: timeMs(task['createdAt']),
    startedMs: timeMs(task['startedAt']),
    stoppedMs: timeMs(task['stoppedAt']),
    stopCode: text(task['stopCode']),
    stoppedReason: text(task['stoppedReason']),
    runtime: list(task['attributes']).flatMap(({ name, value }) => (name === RUNTIME ? (text(value) ?? []) : []))[0],
    startedBy: text(task['startedBy']),
    ecsVersion: number(task['version']) ?? 0,
  });
}

/** Why a task ended, in one sentence. */
export function describeStop(task: Task): string {
  const guilty =
    task.containers.find((container) => container.reason !== undefined) ??
    task.containers.find((container) => (container.exitCode ?? 0) !== 0);
  if (guilty?.reason !== undefined) return guilty.reason;
  if (guilty?.exitCode !== undefined) return `container ${guilty.name} ended with exit code ${guilty.exitCode}`;
  return task.stoppedReason ?? 'no reason was given';
}

/** @example clusterOfArn('arn:aws:ecs:eu-west-1:1:task/main/abc') // 'main' */
export function clusterOfArn(arn: string): string | undefined {
  const parts = arn.slice(arn.lastIndexOf(':') + 1).split('/');
  return parts[0] === 'cluster' ? parts[1] : parts.length === 3 ? parts[1] : undefined;
}

export function lastPart(arn: string): string {
  return arn.slice(arn.lastIndexOf('/') + 1);
}

function projectContainer(container: Fields): TaskContainer {
  return defined({
    name: text(container['name']) ?? '',
    image: text(container['image']),
    imageDigest: text(container['imageDigest']),
    status: text(container['lastStatus']) ?? 'UNKNOWN',
    exitCode: number(container['exitCode']),
    reason: text(container['reason']),
    health: text(container['healthStatus']),
    ports: list(container['networkBindings']).map((binding) => ({
      container: number(binding['containerPort']) ?? 0,
      host: number(binding['hostPort']) ?? 0,
      protocol: text(binding['protocol']) ?? 'tcp',
    })),
  });
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

function list(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.filter((item): item is Fields => typeof item === 'object' && item !== null) : [];
}

function timeMs(value: unknown): number | undefined {
  if (value instanceof Date) return value.getTime();
  if (typeof value === 'number') return Math.round(value * 1000);
  const parsed = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(parsed) ? undefined : parsed;
}

function map<A, B>(value: A | undefined, change: (value: A) => B): B | undefined {
  return value === undefined ? undefined : change(value);
}
