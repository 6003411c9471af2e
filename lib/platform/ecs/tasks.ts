/** Tasks of ECS. How they are started is in `task-starts.ts`. */
import type { Task } from '@aws-sdk/client-ecs';
import { type EcsCalls, present } from './calls.js';
import { isEcsError } from './errors.js';
import { type NewTask, type StartedTasks, TaskStarts, type TaskStartOptions } from './task-starts.js';

const TASKS_PER_CALL = 100;

export class EcsTasks {
  private readonly starts: TaskStarts;

  constructor(
    private readonly ecs: EcsCalls,
    options: TaskStartOptions = {},
  ) {
    this.starts = new TaskStarts(ecs, (cluster, arns) => this.describe(cluster, arns), options);
  }

  /**
   * One task, idempotent by `clientToken`. A token that was used before gives the task it made then.
   * @throws AppError TASK_PLACEMENT_FAILED, with ECS's failures in the details
   */
  async run(input: NewTask): Promise<Task> {
    const { tasks } = await this.starts.start(input, 1);
    return present(tasks[0], 'RunTask', 'tasks');
  }

  /**
   * So many equal tasks, in groups of ten, idempotent as one is. Some may be started and others not.
   * @throws AppError TASK_PLACEMENT_FAILED when none was
   */
  runMany(input: NewTask, count: number): Promise<StartedTasks> {
    return this.starts.start(input, count);
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
}
