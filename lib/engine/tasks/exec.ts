/** Commands inside the containers of a task. */
import { AppError } from '../../errors/index.js';
import type { ExecOptions, ExecSession } from '../../runtime/index.js';
import { parseArn, shortName } from '../arn.js';
import type { Context } from '../context.js';

/** @throws AppError TASK_NOT_RUNNING, EXEC_UNSUPPORTED */
export async function execInTask(
  context: Context,
  taskArn: string,
  containerName: string | undefined,
  options: ExecOptions,
): Promise<ExecSession> {
  const { agent } = context.deps;
  if (agent.exec === undefined) {
    throw new AppError('EXEC_UNSUPPORTED', 'this engine runs no real containers', { kind: 'unsupported' });
  }
  const id = shortName('task', taskArn);
  const task = await context.state.task(parseArn(taskArn)?.path[0] ?? '', id);
  const container = containerName ?? (task?.containers.find(({ essential }) => essential) ?? task?.containers[0])?.name;
  const session = container === undefined ? undefined : await agent.exec(id, container, options);
  if (session !== undefined) return session;
  throw new AppError('TASK_NOT_RUNNING', `container ${container ?? ''} of task ${id} does not run`, {
    kind: 'conflict',
    hint: task === undefined ? 'wharf ps shows what runs' : `the task is ${task.lastStatus}`,
  });
}
