/** `wharf logs`: what a task wrote, or all tasks of a service, new ones included while following. */
import { AppError } from '../../errors/index.js';
import type { Task } from '../../platform/index.js';
import type { CommandDeps } from '../deps.js';
import { printJson } from '../output.js';
import { chooseCluster } from './cluster-choice.js';
import { findNamed } from './find-tasks.js';
import { allTasks } from './ps.js';

export interface LogsInput {
  readonly name: string;
  readonly cluster?: string;
  readonly follow?: boolean;
  readonly sinceMs?: number;
  readonly json?: boolean;
}

const LOOK_FOR_NEW_MS = 1000;
/** So many looks in a row may find no platform, as while it is started again. */
const MOST_AWAY = 20;

export async function logs(input: LogsInput, deps: CommandDeps): Promise<void> {
  const cluster = await chooseCluster(input.cluster, deps);
  const found = await findNamed(cluster, input.name, deps);
  if (found.kind === 'task') return print(found.task, false, input, deps);
  const service = found.service.name;
  const tasks = await allTasks(cluster, { service }, deps);
  // Nothing runs: what the last one said is what people want to know.
  const shown = tasks.length > 0 ? tasks : lastStopped(await allTasks(cluster, { service, all: true }, deps));
  if (input.follow !== true) {
    for (const task of shown) await print(task, shown.length > 1, input, deps);
    return;
  }
  await followService(cluster, service, shown, input, deps);
}

async function followService(
  cluster: string,
  service: string,
  first: readonly Task[],
  input: LogsInput,
  deps: CommandDeps,
): Promise<void> {
  const followed = new Map<string, Promise<void>>();
  const begin = (task: Task) => {
    if (followed.has(task.id)) return;
    const printed = print(task, true, input, deps);
    // A platform that is gone for good is told by the next looks.
    printed.catch(() => undefined);
    followed.set(task.id, printed);
  };
  first.forEach(begin);
  for (let away = 0; !deps.interrupted.aborted;) {
    await deps.clock.sleep(LOOK_FOR_NEW_MS, deps.interrupted).catch(() => {});
    if (deps.interrupted.aborted) break;
    try {
      (await allTasks(cluster, { service }, deps)).forEach(begin);
      away = 0;
    } catch (error) {
      away += 1;
      if (away > MOST_AWAY || !(error instanceof AppError) || error.kind !== 'unavailable') throw error;
    }
  }
  await Promise.allSettled(followed.values());
}

async function print(task: Task, isPrefixed: boolean, input: LogsInput, deps: CommandDeps): Promise<void> {
  const prefix = isPrefixed ? `${deps.output.colors.cyan(task.id.slice(0, 8))} ` : '';
  const lines = deps.client.tasks.logs(task.cluster, task.id, {
    follow: input.follow === true,
    signal: deps.interrupted,
    ...(input.sinceMs === undefined ? {} : { sinceMs: input.sinceMs }),
  });
  for await (const line of lines) {
    if (input.json === true) printJson(deps.output, { task: task.id, ...line });
    else deps.output.result(`${prefix}${line.text}\n`);
  }
}

function lastStopped(tasks: readonly Task[]): readonly Task[] {
  const [last] = tasks.toSorted((a, b) => (b.createdMs ?? 0) - (a.createdMs ?? 0));
  return last === undefined ? [] : [last];
}
