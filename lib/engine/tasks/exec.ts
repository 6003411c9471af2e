/** Commands inside the containers of a task, so many at once in each as ECS Exec allows. */
import { AppError } from '../../errors/index.js';
import type { ExecOptions, ExecSession } from '../../runtime/index.js';
import { ownName, parseArn } from '../arn.js';
import type { Context } from '../context.js';
import type { TaskState } from '../state/model.js';

const MOST_SESSIONS = 20;

export class TaskExec {
  /** By task and container. */
  readonly #open = new Map<string, number>();

  constructor(private readonly context: Context) {}

  /** @throws AppError TASK_NOT_RUNNING, EXEC_UNSUPPORTED, EXEC_SESSIONS_FULL */
  async open(taskArn: string, containerName: string | undefined, options: ExecOptions): Promise<ExecSession> {
    const { context } = this;
    const { agent } = context.deps;
    if (agent.exec === undefined) {
      throw new AppError('EXEC_UNSUPPORTED', 'this engine runs no real containers', { kind: 'unsupported' });
    }
    const id = ownName(taskArn);
    const task = await context.state.task(parseArn(taskArn)?.path[0] ?? '', id);
    const container =
      containerName ?? (task?.containers.find(({ essential }) => essential) ?? task?.containers[0])?.name;
    const of = `${id}/${container ?? ''}`;
    const before = this.#open.get(of) ?? 0;
    if (before >= MOST_SESSIONS) throw full(of);
    // Counted while it is being made, so that twenty that come at once are not twenty-one.
    this.#open.set(of, before + 1);
    const closed = (): void => {
      const left = (this.#open.get(of) ?? 1) - 1;
      if (left === 0) this.#open.delete(of);
      else this.#open.set(of, left);
    };
    let session: ExecSession | undefined;
    try {
      session = container === undefined ? undefined : await agent.exec(id, container, options);
    } finally {
      if (session === undefined) closed();
    }
    if (session === undefined) throw notRunning(id, container, task);
    void session.ended.then(closed, closed);
    return session;
  }
}

const full = (of: string): AppError =>
  new AppError('EXEC_SESSIONS_FULL', `container ${of} has ${String(MOST_SESSIONS)} sessions already`, {
    kind: 'conflict',
    retryable: true,
    hint: 'end one of them first',
  });

function notRunning(id: string, container: string | undefined, task: TaskState | undefined): AppError {
  return new AppError('TASK_NOT_RUNNING', `container ${container ?? ''} of task ${id} does not run`, {
    kind: 'conflict',
    hint: task === undefined ? 'wharf ps shows what runs' : `the task is ${task.lastStatus}`,
  });
}
