/** The engine put together: state, API, task lifecycle and service scheduler over the ports it is given. */
import { call, serve } from './api/wire.js';
import { Arns, ownName, parseArn } from './arn.js';
import { CapacityLoop } from './capacity/capacity-loop.js';
import { DEFAULT_OPTIONS, type Context, type EngineDeps, type EngineOptions } from './context.js';
import { EventBus } from './events.js';
import { KeyedMutex } from './keyed-mutex.js';
import { ServiceScheduler } from './services/scheduler.js';
import { taskEndWrites } from './services/service-changes.js';
import { servingAlias, servingTasks } from './services/serving.js';
import { allUnplaced, unplacedService } from './placement/unplaced.js';
import { EngineState } from './state/engine-state.js';
import { TaskExec } from './tasks/exec.js';
import { finishLosses, loseInstance } from './tasks/instance-loss.js';
import { TaskLifecycle } from './tasks/lifecycle.js';
import { ImageLayers } from './tasks/pulls.js';
import type { Engine, LogLine } from './types.js';

/** @example const engine = createEngine({ records, agent, clock, ids, logger }, { region: 'eu-central-1', accountId: '000000000000' }) */
export function createEngine(deps: EngineDeps, options: EngineOptions): Engine {
  const full = { ...DEFAULT_OPTIONS, ...options };
  const context: Context = {
    deps,
    options: full,
    state: new EngineState(deps.records, { clock: deps.clock, keptMs: full.stoppedTaskTtlMs }),
    arns: new Arns(full.region, full.accountId),
    events: new EventBus(deps, full),
    mutex: new KeyedMutex(),
    imageLayers: new ImageLayers(deps.agent),
  };
  const lifecycle = new TaskLifecycle(context, (task) => taskEndWrites(context, task));
  const scheduler = new ServiceScheduler(context, lifecycle);
  const capacity = new CapacityLoop(context, lifecycle, (cluster) => clusterChanged(cluster));
  const clusterChanged = async (cluster: string): Promise<void> => {
    capacity.wake(cluster);
    await scheduler.wakeCluster(cluster);
  };
  const exec = new TaskExec(context);
  const api = { context, lifecycle, scheduler, clusterChanged };
  deps.agent.connect?.({
    call: (operation, input) => call(api, operation, input),
    lookUp: (cluster, service) => servingTasks(context, cluster, service),
    lookUpAlias: (cluster, name) => servingAlias(context, cluster, name),
  });
  return {
    fetch: (request) => serve(api, request),
    async start() {
      await lifecycle.resume();
      await finishLosses(context, lifecycle);
      await scheduler.start();
      await capacity.start();
    },
    async stop(stopping = {}) {
      await scheduler.close();
      await capacity.close();
      if (stopping.stopTasks === true) await lifecycle.stopAll('The engine is shutting down.');
      await lifecycle.close();
      await deps.agent.close();
    },
    onEvent: (listener) => context.events.listen(listener),
    exec: (taskArn, containerName, execOptions) => exec.open(taskArn, containerName, execOptions),
    async loseInstance(instanceArn) {
      const cluster = parseArn(instanceArn)?.path[0] ?? '';
      const isLost = await loseInstance(context, lifecycle, cluster, ownName(instanceArn));
      if (isLost) await clusterChanged(cluster);
      return isLost;
    },
    unplaced: (cluster) => allUnplaced(context, cluster),
    unplacedService: (cluster, service) => unplacedService(context, cluster, service),
    logs(taskArn, containerName, logOptions) {
      const id = ownName(taskArn);
      const cluster = parseArn(taskArn)?.path[0];
      return logsOf(context, cluster, id, containerName, logOptions);
    },
  };
}

/** The first container's lines when none is named. Undefined, or an empty stream, when there is no such task. */
function logsOf(
  context: Context,
  cluster: string | undefined,
  taskId: string,
  containerName: string | undefined,
  options: Parameters<Engine['logs']>[2],
): AsyncIterable<LogLine> | undefined {
  if (containerName !== undefined) return context.deps.agent.logs(taskId, containerName, options);
  if (cluster === undefined) return undefined;
  return (async function* () {
    const task = await context.state.task(cluster, taskId);
    const first = task?.containers.find((container) => container.essential) ?? task?.containers[0];
    const lines = first && context.deps.agent.logs(taskId, first.name, options);
    if (lines !== undefined) yield* lines;
  })();
}
