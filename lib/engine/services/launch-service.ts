/** Carries a plan out: starts tasks of the PRIMARY deployment, stops tasks with the reason they will show, tells of it. */
import type { Context } from '../context.js';
import type { Explanation } from '../placement/explanation.js';
import { explain, type Rejection } from '../placement/place.js';
import { strategiesOf } from '../placement/strategy.js';
import { parseArn } from '../arn.js';
import type { ClusterState, TaskDefinitionState, TaskState } from '../state/model.js';
import type { ServiceState } from '../state/service-model.js';
import { MOST_WAITING } from '../tasks/launch.js';
import type { TaskLifecycle } from '../tasks/lifecycle.js';
import { serviceTaskTags } from '../tasks/task-tags.js';
import { primaryOf } from './deployments.js';
import { serviceAction, type News } from './news.js';
import type { Stop } from './plan.js';

export interface StartOutcome {
  readonly started: number;
  readonly news: readonly News[];
  /** Why a task could not be placed; undefined when all were. */
  readonly trouble?: { readonly text: string; readonly news: News; readonly explanation?: Explanation };
  /** When more may be started; absent unless there were too many within a minute. */
  readonly notBeforeMs?: number;
}

/** Most launches in one round, so that stops and news are not kept waiting. */
const ROUND = 10;
const MINUTE_MS = 60_000;

export async function startTasks(
  context: Context,
  lifecycle: TaskLifecycle,
  cluster: ClusterState,
  service: ServiceState,
  where: { readonly count: number } | { readonly instances: readonly string[] },
): Promise<StartOutcome> {
  const primary = primaryOf(service);
  const definition = primary && (await definitionByArn(context, primary.taskDefinitionArn));
  if (primary === undefined || definition === undefined) return { started: 0, news: [] };
  const own = (await context.state.live.of(service.clusterName)).tasksOfService(service.name);
  const recent = startsOfLastMinute(own, context.deps.clock.nowMs());
  const most = Math.min(ROUND, context.options.serviceLaunchesPerMinute - recent.length);
  const [oldest] = recent;
  if (most <= 0 && oldest !== undefined) return { started: 0, news: [], notBeforeMs: oldest + MINUTE_MS };
  const targets: (ReadonlySet<string> | undefined)[] =
    'count' in where
      ? Array.from({ length: Math.min(where.count, most) }, () => undefined)
      : where.instances.slice(0, most).map((id) => new Set([id]));
  const strategy = primary.capacityProviderStrategy ?? [];
  const counts = providerCounts(own.filter(({ desiredStatus }) => desiredStatus === 'RUNNING'));
  const started: string[] = [];
  let tooManyWaiting = 0;
  let rejections: readonly Rejection[] | undefined;
  let explanation: Explanation | undefined;
  for (const only of targets) {
    const result = await lifecycle.launch({
      cluster,
      definition,
      overrides: {},
      group: `service:${service.name}`,
      startedBy: primary.id,
      constraints: service.placementConstraints,
      strategies: only === undefined ? strategiesOf(service.placementStrategy) : [],
      ...(only === undefined ? {} : { only }),
      ...(strategy.length === 0 || only !== undefined ? {} : { capacity: { strategy, counts } }),
      tags: serviceTaskTags(service, definition),
      enableExecuteCommand: service.enableExecuteCommand,
      networkConfiguration: service.networkConfiguration,
      service: { name: service.name, deploymentId: primary.id, loadBalancers: primary.loadBalancers },
      taskIds: [context.deps.ids.hex(16)],
    });
    started.push(...result.tasks.map((task) => task.id));
    for (const [provider, count] of providerCounts(result.tasks))
      counts.set(provider, (counts.get(provider) ?? 0) + count);
    tooManyWaiting += result.tooManyWaiting;
    if (tooManyWaiting > 0) break;
    rejections = result.unplaced[0];
    explanation = result.explanation;
    if (rejections !== undefined && only === undefined) break;
  }
  const news: News[] =
    started.length === 0
      ? []
      : [
          {
            message: `has started ${String(started.length)} tasks: ${started.map((id) => `(task ${id})`).join(' ')}.`,
          },
        ];
  return {
    started: started.length,
    news,
    ...(rejections === undefined ? {} : { trouble: troubleOf(rejections, explanation) }),
    ...(tooManyWaiting === 0 ? {} : { trouble: { text: TOO_MANY_WAITING, news: { message: TOO_MANY_WAITING } } }),
  };
}

/** When tasks that are there were made, if within the last minute; the oldest first. */
function startsOfLastMinute(tasks: readonly TaskState[], nowMs: number): readonly number[] {
  const times = tasks.map(({ createdAtMs }) => createdAtMs).filter((madeMs) => madeMs > nowMs - MINUTE_MS);
  return times.sort((a, b) => a - b);
}

const TOO_MANY_WAITING = `was unable to place a task. Reason: ${String(MOST_WAITING)} tasks of the cluster are in the PROVISIONING state already.`;

function providerCounts(tasks: readonly TaskState[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { capacityProviderName: name } of tasks) {
    if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

export async function stopTasks(
  lifecycle: TaskLifecycle,
  service: ServiceState,
  stops: readonly Stop[],
): Promise<readonly News[]> {
  const news: News[] = [];
  const stopped: string[] = [];
  for (const stop of stops) {
    const task = await lifecycle.stop(service.clusterName, stop.taskId, {
      stopCode: 'ServiceSchedulerInitiated',
      reason: stopReason(stop, service),
    });
    if (task === undefined) continue;
    stopped.push(task.id);
    if (stop.cause === 'unhealthy') news.push({ message: `(task ${task.id}) ${withoutTask(stop.because ?? '')}.` });
    for (const target of task.targets) {
      news.push({ message: `deregistered 1 targets in (target-group ${target.targetGroupArn})` });
    }
    if (task.targets.length > 0) news.push({ message: 'has begun draining connections on 1 tasks.' });
  }
  if (stopped.length > 0) {
    news.push({
      message: `has stopped ${String(stopped.length)} running tasks: ${stopped.map((id) => `(task ${id})`).join(' ')}.`,
    });
  }
  return news;
}

function stopReason(stop: Stop, service: ServiceState): string {
  if (stop.cause === 'unhealthy') return stop.because ?? 'Task failed health checks';
  if (stop.cause === 'draining') return 'Container instance draining or deregistered: the service replaces this task.';
  const deployment = primaryOf(service)?.id;
  return `Scaling activity initiated by ${deployment === undefined ? 'service deletion' : `(deployment ${deployment})`}`;
}

/** The definition an ARN names, also when it is INACTIVE by now. */
export function definitionByArn(context: Context, arn: string): Promise<TaskDefinitionState | undefined> {
  const [family = '', revision = ''] = (parseArn(arn)?.path.at(-1) ?? '').split(':');
  return context.state.taskDefinition(family, Number(revision));
}

const CLOSEST: Readonly<Record<string, string>> = {
  'RESOURCE:CPU': 'has insufficient CPU units available',
  'RESOURCE:MEMORY': 'has insufficient memory available',
  'RESOURCE:PORTS': 'is already using a port required by your task',
  'RESOURCE:PORTS_UDP': 'is already using a port required by your task',
};

function troubleOf(
  rejections: readonly Rejection[],
  explanation: Explanation | undefined,
): NonNullable<StartOutcome['trouble']> {
  const closest = [...rejections].sort((a, b) => a.findings.length - b.findings.length)[0];
  const reason = closest?.findings[0]?.reason;
  const why =
    closest === undefined || reason === undefined
      ? 'Reason: No Container Instances were found in your cluster.'
      : `The closest matching (container-instance ${closest.instanceId}) ${CLOSEST[reason] ?? `encountered error "${reason}"`}.`;
  const text = `was unable to place a task because no container instance met all of its requirements. ${why}`;
  const table = rejections.map((rejection) => ({
    containerInstanceArn: rejection.instanceArn,
    why: explain(rejection),
  }));
  return {
    text,
    ...(explanation === undefined ? {} : { explanation }),
    news: {
      message: text,
      event: serviceAction('SERVICE_TASK_PLACEMENT_FAILURE', {
        reason: reason ?? 'NO ACTIVE INSTANCES',
        containerInstanceArns: rejections.map((rejection) => rejection.instanceArn),
        explanation: table,
        smallestFix: explanation?.smallestFix,
      }),
    },
  };
}

function withoutTask(text: string): string {
  return text.replace(/^Task /, '');
}
