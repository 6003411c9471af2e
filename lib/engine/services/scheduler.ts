/**
 * Keeps every service as its record says. Each service is looked at when something of it has changed, and again at a
 * time of its own while something is waited for. One round: read, settle what has come about, plan, carry out. Rounds
 * hold nothing in memory, so a round that a kill cut off is simply done again.
 */
import type { Context } from '../context.js';
import { noteRoom, noteWaiting } from '../placement/unplaced.js';
import type { LiveCluster } from '../state/live-clusters.js';
import type { TaskState } from '../state/model.js';
import type { ServiceState } from '../state/service-model.js';
import type { TaskLifecycle } from '../tasks/lifecycle.js';
import { changeTask } from '../tasks/task-changes.js';
import { daemonInstances, planDaemon } from './daemon.js';
import { judge, type Verdict } from './health.js';
import { startTasks, stopTasks, type StartOutcome } from './launch-service.js';
import type { News } from './news.js';
import { planService, type ServiceSight, type Stop } from './plan.js';
import { changeService, writeService } from './service-changes.js';
import { settle } from './settle.js';
import { afterTaskHealthy, withFailure } from './task-end.js';
import { WakeList } from '../wake-list.js';

const PLACEMENT_RETRY_MS = 5000;
const STEADY_POLLS = 4;
const DEADLOCK =
  'was unable to stop or start tasks during a deployment because of the service deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again.';

interface View extends ServiceSight {
  readonly cluster: LiveCluster;
}

export class ServiceScheduler {
  readonly #wakes: WakeList;
  /** Services that wait for room, as `cluster/name`; a cache that spares the others a look. */
  readonly #waitingForRoom = new Set<string>();

  constructor(
    private readonly context: Context,
    private readonly lifecycle: TaskLifecycle,
  ) {
    this.#wakes = new WakeList(context.deps, (key) => this.#round(key));
    lifecycle.onChange((task) => this.#taskChanged(task));
  }

  async start(): Promise<void> {
    for (const cluster of await this.context.state.clusters.all('')) await this.wakeCluster(cluster.name);
  }

  /** Resolves when no round is running and none is due now. */
  settled(): Promise<void> {
    return this.#wakes.idle();
  }

  async close(): Promise<void> {
    await this.#wakes.close();
  }

  wake(cluster: string, service: string): void {
    this.#wakes.wake(`${cluster}/${service}`);
  }

  /** After a change of the cluster's instances. */
  async wakeCluster(cluster: string): Promise<void> {
    for (const service of await this.context.state.services.all(cluster)) {
      if (service.status !== 'INACTIVE') this.wake(cluster, service.name);
    }
  }

  #taskChanged(task: TaskState): void {
    if (task.lastStatus === 'STOPPED') {
      for (const key of this.#waitingForRoom) this.#wakes.wake(key);
    }
    const { serviceName, clusterName } = task;
    if (serviceName === undefined) return;
    this.wake(clusterName, serviceName);
  }

  /** @returns when to look again, if at a known time */
  async #round(key: string): Promise<number | undefined> {
    const { state, deps } = this.context;
    const [clusterName = '', name = ''] = key.split('/');
    const cluster = await state.clusters.get('', clusterName);
    // Tasks before the service: of a task that is gone by then, the service is sure to know.
    const live = await state.live.of(clusterName);
    const tasks = live.tasksOfService(name);
    const stored = await state.services.stored(clusterName, name);
    if (cluster === undefined || stored === undefined || stored.value.status === 'INACTIVE') return undefined;
    const view = this.#look(stored.value, tasks, live);
    const newlyHealthy = view.tasks
      .filter(({ task, health }) => health.verdict === 'healthy' && task.healthyAtMs === undefined)
      .map(({ task }) => task);
    const noted = newlyHealthy.reduce(afterTaskHealthy, this.#withDaemonCount(stored.value, view));
    const settled = settle({ ...view, service: noted }, deps.ids);
    const { service } = settled;
    const changed = JSON.stringify(service) !== JSON.stringify(stored.value);
    if (changed) {
      const won = await writeService(this.context, settled, { version: stored.version });
      if (won) await this.#noteHealthy(newlyHealthy, view.nowMs);
      if (won && service.status === 'INACTIVE') await noteRoom(this.context, clusterName, name);
      // Either way what was read is old now: plan from a fresh look.
      return service.status === 'INACTIVE' && won ? undefined : deps.clock.nowMs();
    }
    await this.#noteHealthy(newlyHealthy, view.nowMs);
    return this.#carryOut(key, view);
  }

  async #carryOut(key: string, view: View): Promise<number | undefined> {
    const { service } = view;
    const { clock } = this.context.deps;
    const daemon = service.schedulingStrategy === 'DAEMON' ? planDaemon(view, this.#daemonOn(view)) : undefined;
    const plan = planService(view);
    const stops: readonly Stop[] = daemon?.stops ?? plan.stops;
    const news: News[] = [...(await stopTasks(this.lifecycle, service, stops))];
    await this.#countUnhealthy(view, stops);
    const wanted = daemon === undefined ? plan.starts : daemon.startOn.length;
    const mayStart = wanted > 0 && service.launchNotBeforeMs <= view.nowMs;
    let trouble: StartOutcome['trouble'];
    let started = 0;
    let notBeforeMs: number | undefined;
    if (mayStart) {
      const cluster = await this.context.state.clusters.get('', service.clusterName);
      if (cluster === undefined) return undefined;
      const where = daemon === undefined ? { count: plan.starts } : { instances: daemon.startOn };
      const outcome = await startTasks(this.context, this.lifecycle, cluster, service, where);
      news.push(...outcome.news);
      started = outcome.started;
      ({ trouble, notBeforeMs } = outcome);
    } else if (daemon === undefined && plan.deadlocked) {
      trouble = { text: DEADLOCK, news: { message: DEADLOCK } };
    }
    if (news.length > 0)
      await changeService(this.context, service.clusterName, service.name, (now) => ({ service: now, news }));
    await this.#noteTrouble(service, trouble);
    await this.#noteRoom(service, wanted, trouble);
    if (trouble === undefined) this.#waitingForRoom.delete(key);
    else this.#waitingForRoom.add(key);
    return earliest([
      wanted > 0 && !mayStart ? service.launchNotBeforeMs : undefined,
      notBeforeMs,
      trouble !== undefined && mayStart ? clock.nowMs() + PLACEMENT_RETRY_MS : undefined,
      started > 0 && started < wanted && trouble === undefined ? clock.nowMs() : undefined,
      ...view.tasks.map(({ health }) => this.#lookAgainAt(health, view.nowMs)),
      ...view.tasks.map(({ task }) => later(task.protectedUntilMs, view.nowMs)),
      this.#targetsToWatch(view) ? view.nowMs + this.#pollMs(service) : undefined,
    ]);
  }

  #look(service: ServiceState, tasks: readonly TaskState[], cluster: LiveCluster): View {
    const { deps, options } = this.context;
    const nowMs = deps.clock.nowMs();
    const rules = {
      targetGroups: deps.targetGroups,
      healthyAfterRunningMs: options.healthyAfterRunningMs,
      nowMs,
    };
    return {
      service,
      tasks: tasks.map((task) => ({ task, health: judge(task, service, rules) })),
      leaving: new Set(
        tasks.flatMap(({ instanceId: id }) =>
          id === undefined || cluster.instances.get(id)?.status === 'ACTIVE' ? [] : [id],
        ),
      ),
      instances: cluster.instances,
      nowMs,
      cluster,
    };
  }

  /** Remembers when a task first counted as healthy. */
  async #noteHealthy(tasks: readonly TaskState[], nowMs: number): Promise<void> {
    for (const task of tasks) {
      const note = (now: TaskState): TaskState => ({ ...now, healthyAtMs: now.healthyAtMs ?? nowMs });
      await changeTask(this.context, task.clusterName, task.id, note, true);
    }
  }

  async #countUnhealthy(view: View, stops: readonly Stop[]): Promise<void> {
    const primary = view.service.deployments[0];
    const failures = stops.filter(
      (stop) =>
        stop.cause === 'unhealthy' &&
        view.tasks.some(({ task }) => task.id === stop.taskId && task.deploymentId === primary?.id),
    ).length;
    if (failures === 0) return;
    await changeService(this.context, view.service.clusterName, view.service.name, (service) => {
      let next = service;
      for (let count = 0; count < failures; count += 1) next = withFailure(next, view.nowMs);
      return { service: next, news: [] };
    });
    this.wake(view.service.clusterName, view.service.name);
  }

  /** A trouble is told once, and again only after another one or after the service was steady. */
  async #noteTrouble(
    service: ServiceState,
    trouble: { readonly text: string; readonly news: News } | undefined,
  ): Promise<void> {
    if (trouble === undefined) return;
    await changeService(this.context, service.clusterName, service.name, (now) =>
      now.lastTrouble === trouble.text
        ? { service: now, news: [] }
        : { service: { ...now, lastTrouble: trouble.text }, news: [trouble.news] },
    );
  }

  /** Keeps the explanation as long as the service waits for room; while it only waits for a time, it stands. */
  async #noteRoom(service: ServiceState, wanted: number, trouble: StartOutcome['trouble']): Promise<void> {
    const { clusterName: cluster, name } = service;
    if (trouble?.explanation === undefined) {
      const waits = wanted > 0 && service.launchNotBeforeMs > this.context.deps.clock.nowMs();
      return waits ? undefined : noteRoom(this.context, cluster, name);
    }
    await noteWaiting(this.context, {
      ...trouble.explanation,
      cluster,
      service: name,
      group: `service:${name}`,
      taskDefinitionArn: service.taskDefinitionArn,
      tasks: wanted,
      atMs: this.context.deps.clock.nowMs(),
    });
  }

  #daemonOn(view: View): string[] {
    return daemonInstances(view.cluster.index.instances, view.service.placementConstraints);
  }

  #withDaemonCount(service: ServiceState, view: View): ServiceState {
    if (service.schedulingStrategy !== 'DAEMON' || service.status !== 'ACTIVE') return service;
    const desiredCount = this.#daemonOn(view).length;
    return desiredCount === service.desiredCount ? service : { ...service, desiredCount };
  }

  #lookAgainAt(health: Verdict, nowMs: number): number | undefined {
    if (health.verdict !== 'waiting' || health.untilMs === undefined) return undefined;
    return Math.max(health.untilMs, nowMs + 1);
  }

  /** A steady service is asked about less often. */
  #pollMs(service: ServiceState): number {
    return this.context.options.pollMs * (service.steady ? STEADY_POLLS : 1);
  }

  /** Target groups do not tell when a target falls ill; as long as there are targets, they are asked. */
  #targetsToWatch(view: View): boolean {
    return view.tasks.some(({ task }) => task.lastStatus === 'RUNNING' && task.targets.length > 0);
  }
}

function earliest(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

function later(time: number | undefined, nowMs: number): number | undefined {
  return time !== undefined && time > nowMs ? time : undefined;
}
