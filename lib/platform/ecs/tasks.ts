/** Tasks of ECS: started once for a token, whatever becomes of the answer. */
import type { RunTaskCommandInput, Task } from '@aws-sdk/client-ecs';
import { AppError } from '../../errors/index.js';
import type { EcsCalls } from './calls.js';
import { isEcsError } from './errors.js';
import { isPassingPlacement, placementError } from './placement-failures.js';

const TASKS_PER_CALL = 100;
const ROOM_BASE_MS = 500;

export interface EcsTasksOptions {
  /** How often room is asked for when there is none just now; 1 when absent. */
  readonly roomAttempts?: number;
}

export type NewTask = RunTaskCommandInput & { readonly cluster: string; readonly clientToken: string };

export class EcsTasks {
  constructor(
    private readonly ecs: EcsCalls,
    private readonly options: EcsTasksOptions = {},
  ) {}

  /**
   * One task, idempotent by `clientToken`. A token that was used before gives the task it made then.
   * @throws AppError TASK_PLACEMENT_FAILED, with ECS's failures in the details
   */
  async run(input: NewTask): Promise<Task> {
    const { roomAttempts = 1 } = this.options;
    const { random = Math.random, signal } = this.ecs.options;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.runOnce(input);
      } catch (error) {
        if (attempt >= roomAttempts || !isPassingPlacement(error)) throw error;
        // Full jitter, as for calls: many that wait for room must not come back at the same moment.
        await this.ecs.clock.sleep(random() * ROOM_BASE_MS * 2 ** (attempt - 1), signal);
      }
    }
  }

  /** Undefined when ECS does not know the task. */
  async stop(cluster: string, task: string, reason: string): Promise<Task | undefined> {
    try {
      const input = { cluster, task, reason };
      const output = await this.ecs.call('StopTask', (sdk, client) => client.send(new sdk.StopTaskCommand(input)));
      return output.task;
    } catch (error) {
      if (isEcsError(error, 'InvalidParameterException', 'ResourceNotFoundException')) return undefined;
      throw error;
    }
  }

  async describe(cluster: string, tasks: readonly string[]): Promise<readonly Task[]> {
    return this.ecs.batched(tasks, TASKS_PER_CALL, async (batch) => {
      const output = await this.ecs.call('DescribeTasks', (sdk, client) =>
        client.send(new sdk.DescribeTasksCommand({ cluster, tasks: batch })),
      );
      return output.tasks ?? [];
    });
  }

  async list(cluster: string, desiredStatus: 'RUNNING' | 'STOPPED', serviceName?: string): Promise<readonly string[]> {
    return this.ecs.pages(async (nextToken) => {
      const input = { cluster, desiredStatus, nextToken, ...(serviceName === undefined ? {} : { serviceName }) };
      const output = await this.ecs.call('ListTasks', (sdk, client) => client.send(new sdk.ListTasksCommand(input)));
      return { items: output.taskArns ?? [], nextToken: output.nextToken };
    });
  }

  private async runOnce(input: NewTask): Promise<Task> {
    const { cluster } = input;
    try {
      const output = await this.ecs.call('RunTask', (sdk, client) =>
        client.send(new sdk.RunTaskCommand({ ...input, count: 1 })),
      );
      const [task] = output.tasks ?? [];
      if (task !== undefined) return task;
      throw placementError(cluster, output.failures ?? []);
    } catch (error) {
      const adopted = isEcsError(error, 'ConflictException') ? await this.adopt(cluster, error) : undefined;
      if (adopted !== undefined) return adopted;
      throw error;
    }
  }

  /** The task that an earlier call with this token made. */
  private async adopt(cluster: string, error: unknown): Promise<Task | undefined> {
    const ids: unknown = error instanceof AppError ? error.details['resourceIds'] : undefined;
    if (!Array.isArray(ids)) return undefined;
    const arns = ids.filter((id) => typeof id === 'string');
    const [task] = await this.describe(cluster, arns);
    return task;
  }
}
