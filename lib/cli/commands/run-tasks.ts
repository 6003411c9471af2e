/**
 * `wharf run`: a container, or so many equal ones, once and outside any service; waits until they have ended. Of a single
 * one that is waited for, stdout and stderr are the container's.
 */
import { AppError } from '../../errors/index.js';
import type { Task, TaskRun, TaskSpec } from '../../platform/index.js';
import type { CommandDeps } from '../deps.js';
import { PassedOnExit, timeOut } from '../exit-code.js';
import { printJson } from '../output.js';
import { chooseCluster } from './cluster-choice.js';

export interface RunTasksInput {
  readonly spec: TaskSpec;
  readonly count: number;
  readonly cluster?: string;
  /** False: return as soon as they are started. */
  readonly wait: boolean;
  readonly timeoutSeconds: number;
  readonly json?: boolean;
}

const POLL_MS = 300;
/** In which a task's containers have begun to write, or have written. */
const WRITES: ReadonlySet<string> = new Set(['RUNNING', 'DEACTIVATING', 'STOPPING', 'DEPROVISIONING', 'STOPPED']);

/** @throws PassedOnExit with the exit code of the only task; AppError TASKS_NOT_STARTED, TASKS_FAILED, TIMEOUT */
export async function runTasks(input: RunTasksInput, deps: CommandDeps): Promise<void> {
  const { output } = deps;
  const cluster = await chooseCluster(input.cluster, deps);
  const run = await deps.client.tasks.runMany(cluster, input.spec, input.count);
  const [only] = run.tasks;
  const shown = input.wait && input.count === 1 && input.json !== true ? only : undefined;
  if (shown !== undefined) output.say(output.colors.dim(`task ${shown.id}\n`));
  else if (input.json !== true) for (const { id } of run.tasks) output.result(`${id}\n`);
  const tasks = input.wait ? await ended(run.tasks, { ...input, shown }, deps) : run.tasks;
  if (input.json === true) printJson(output, { ...run, tasks });
  if (run.notStarted > 0) throw notStarted(run, input.count);
  const failed = input.wait ? tasks.filter((task) => exitCodeOf(task) !== 0) : [];
  for (const task of failed) output.say(`task ${task.id.slice(0, 12)}: ${endOf(task)}\n`);
  const [first] = failed;
  if (first === undefined) return;
  if (tasks.length === 1) throw new PassedOnExit(exitCodeOf(first));
  throw new AppError('TASKS_FAILED', `${failed.length} of ${tasks.length} tasks failed`, {
    kind: 'failed',
    hint: 'wharf logs with the beginning of a task id shows what it wrote',
  });
}

async function ended(
  tasks: readonly Task[],
  { timeoutSeconds, shown }: RunTasksInput & { readonly shown: Task | undefined },
  deps: CommandDeps,
): Promise<readonly Task[]> {
  const { client, clock, interrupted, output } = deps;
  const until = clock.nowMs() + timeoutSeconds * 1000;
  const seen: Task[] = [];
  let written: Promise<void> | undefined;
  for (let task of tasks) {
    for (;;) {
      if (written === undefined && task.id === shown?.id && WRITES.has(task.status)) {
        written = show(task, deps);
        // Whoever waits for the end sees the error; a time-out goes before it.
        written.catch(() => undefined);
      }
      if (task.status === 'STOPPED') break;
      if (clock.nowMs() >= until) throw timeOut(`task ${task.id}`, timeoutSeconds);
      await clock.sleep(POLL_MS, interrupted).catch((reason: unknown) => {
        output.say(`task ${task.id.slice(0, 12)} goes on; wharf stop ${task.id.slice(0, 12)} ends it\n`);
        throw reason;
      });
      task = await client.tasks.get(task.cluster, task.id);
    }
    seen.push(task);
  }
  await written;
  return seen;
}

/** Hands on what the container writes, to its end; nothing where logs are kept elsewhere, or no container was started. */
async function show({ cluster, id }: Task, { client, output, interrupted }: CommandDeps): Promise<void> {
  try {
    for await (const { stream, text } of client.tasks.logs(cluster, id, { follow: true, signal: interrupted })) {
      if (stream === 'stdout') output.result(`${text}\n`);
      else output.say(`${text}\n`);
    }
  } catch (error) {
    if (error instanceof AppError && ['not-found', 'unsupported'].includes(error.kind)) return;
    throw error;
  }
}

/** Of the container that failed, if one did; 1 for a task of which no container came to an end of its own. */
function exitCodeOf({ containers }: Task): number {
  const codes = containers.map(({ exitCode }) => exitCode ?? 1);
  return codes.find((code) => code !== 0) ?? 0;
}

function endOf({ containers, stoppedReason }: Task): string {
  const guilty = containers.find(({ exitCode, reason }) => reason !== undefined || exitCode !== 0);
  if (guilty?.exitCode === undefined) return guilty?.reason ?? stoppedReason ?? 'no reason was given';
  return guilty.reason ?? `exit code ${guilty.exitCode}`;
}

function notStarted({ notStarted, failures }: TaskRun, count: number): AppError {
  const reasons = [...new Set(failures.map(({ reason }) => reason))];
  return new AppError('TASKS_NOT_STARTED', `${notStarted} of ${count} tasks were not started: ${reasons.join(', ')}`, {
    kind: 'failed',
    hint: 'the others run; ask for the rest when there is room, or give the cluster more instances',
    details: { failures },
  });
}
