/** Starting tasks: up to ten by one call of RunTask, once for a token, whatever becomes of the answer. */
import type { Failure, RunTaskCommandInput, Task } from '@aws-sdk/client-ecs';
import { AppError } from '../../errors/index.js';
import { contentHash } from '../values/index.js';
import type { EcsCalls } from './calls.js';
import { isEcsError } from './errors.js';
import { arePassing, placementError } from './placement-failures.js';

/** What RunTask takes. */
const TASKS_PER_CALL = 10;
const ROOM_BASE_MS = 500;

export type NewTask = RunTaskCommandInput & { readonly cluster: string; readonly clientToken: string };

export interface StartedTasks {
  readonly tasks: readonly Task[];
  /** Why the others were not started: ECS's reasons, or the code of its refusal. Empty when all were. */
  readonly failures: readonly Failure[];
}

export interface TaskStartOptions {
  /** How often room is asked for when there is none just now; 1 when absent. */
  readonly roomAttempts?: number;
}

export class TaskStarts {
  constructor(
    private readonly ecs: EcsCalls,
    private readonly describe: (cluster: string, arns: readonly string[]) => Promise<readonly Task[]>,
    private readonly options: TaskStartOptions,
  ) {}

  /**
   * So many equal tasks. Asked again with the same token, it finds what was started and starts what was not.
   * @throws AppError TASK_PLACEMENT_FAILED when none was started, what the first call was refused with, or the outage that
   * the calls did not outlast
   */
  async start(input: NewTask, count: number): Promise<StartedTasks> {
    const { roomAttempts = 1 } = this.options;
    const { random = Math.random, signal } = this.ecs.options;
    const tasks: Task[] = [];
    for (let group = 0, attempt = 1; ;) {
      const size = Math.min(TASKS_PER_CALL, count - tasks.length);
      const answer = await this.ask({ ...input, count: size, clientToken: tokenOf(input, group) }, tasks.length > 0);
      tasks.push(...answer.tasks);
      // What a token has started is its answer for good, so the rest needs another; one that started nothing is used again.
      if (answer.tasks.length > 0) group += 1;
      if (tasks.length >= count) return { tasks, failures: [] };
      if (answer.failures.length === 0 && answer.tasks.length > 0) continue;
      if (attempt >= roomAttempts || !arePassing(answer.failures)) {
        if (tasks.length === 0) throw placementError(input.cluster, answer.failures);
        return { tasks, failures: answer.failures };
      }
      // Full jitter, as for calls: many that wait for room must not come back at the same moment.
      await this.ecs.clock.sleep(random() * ROOM_BASE_MS * 2 ** (attempt - 1), signal);
      attempt += 1;
    }
  }

  /** @param isLater some run already, so that a refusal is why the rest does not */
  private async ask(input: NewTask, isLater: boolean): Promise<StartedTasks> {
    try {
      const { tasks = [], failures = [] } = await this.ecs.call('RunTask', (sdk, client) =>
        client.send(new sdk.RunTaskCommand(input)),
      );
      return { tasks, failures };
    } catch (error) {
      const adopted = isEcsError(error, 'ConflictException') ? await this.adopt(input.cluster, error) : [];
      if (adopted.length > 0) return { tasks: adopted, failures: [] };
      // A call that got no answer may have started its tasks: who asks again with the token will see.
      if (!isLater || !(error instanceof AppError) || error.retryable) throw error;
      return { tasks: [], failures: [{ reason: error.code, detail: error.message }] };
    }
  }

  /** The tasks that an earlier call with this token made. */
  private async adopt(cluster: string, error: unknown): Promise<readonly Task[]> {
    const ids: unknown = error instanceof AppError ? error.details['resourceIds'] : undefined;
    if (!Array.isArray(ids)) return [];
    return this.describe(
      cluster,
      ids.filter((id) => typeof id === 'string'),
    );
  }
}

/** The same at every repetition, and at most the 64 characters that ECS takes. */
function tokenOf({ clientToken }: NewTask, group: number): string {
  return group === 0 ? clientToken : contentHash([clientToken, group]);
}
