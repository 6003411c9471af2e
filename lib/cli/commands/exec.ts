/** `wharf exec`: a command, or a shell, in a running container of a task or of a service's first task. */
import type { RemoteExec } from '../../client/index.js';
import { AppError } from '../../errors/index.js';
import type { Task } from '../../platform/index.js';
import type { CommandDeps } from '../deps.js';
import { PassedOnExit } from '../exit-code.js';
import { chooseCluster } from './cluster-choice.js';
import { findNamed } from './find-tasks.js';
import { allTasks } from './ps.js';

export interface ExecInput {
  readonly name: string;
  readonly command: readonly string[];
  readonly cluster?: string;
  readonly container?: string;
  /** Hands standard input on. */
  readonly interactive?: boolean;
  /** Gives the command a terminal. */
  readonly tty?: boolean;
}

/** @throws PassedOnExit with the command's exit code unless that is 0 */
export async function exec(input: ExecInput, deps: CommandDeps): Promise<void> {
  const { terminal } = deps;
  if (input.tty === true && terminal === undefined) {
    throw new AppError('NO_TERMINAL', 'standard input is no terminal', { hint: 'leave -t out' });
  }
  const task = await findTask(input, deps);
  const size = input.tty === true ? terminal?.size() : undefined;
  const session = await deps.client.tasks.exec(task.cluster, task.id, {
    command: input.command,
    signal: deps.interrupted,
    ...(input.container === undefined ? {} : { container: input.container }),
    ...(size === undefined ? {} : { terminal: size }),
  });
  const isRaw = size !== undefined && input.interactive === true;
  const stopListening = size === undefined ? undefined : terminal?.onResize(() => session.resize(terminal.size()));
  if (isRaw) terminal?.setRaw(true);
  try {
    if (input.interactive === true && deps.stdin !== undefined) void handOn(deps.stdin, session);
    else session.endInput();
    for await (const { stream, bytes } of session.output) deps.output.bytes?.(stream, bytes);
  } finally {
    stopListening?.();
    if (isRaw) terminal?.setRaw(false);
  }
  const exitCode = session.result()?.exitCode ?? 1;
  if (exitCode !== 0) throw new PassedOnExit(exitCode);
}

async function handOn(stdin: AsyncIterable<string | Uint8Array>, session: RemoteExec): Promise<void> {
  try {
    for await (const chunk of stdin) await session.write(chunk);
  } catch {
    // A terminal that goes, as ours does once the command has ended, ends the input and nothing else.
  }
  session.endInput();
}

async function findTask(input: ExecInput, deps: CommandDeps): Promise<Task> {
  const cluster = await chooseCluster(input.cluster, deps);
  const found = await findNamed(cluster, input.name, deps);
  if (found.kind === 'task') return found.task;
  const tasks = await allTasks(cluster, { service: found.service.name }, deps);
  const running = tasks.find(({ status, desiredStatus }) => status === 'RUNNING' && desiredStatus === 'RUNNING');
  if (running !== undefined) return running;
  throw new AppError('TASK_NOT_RUNNING', `no task of service ${found.service.name} runs`, {
    kind: 'conflict',
    hint: 'wharf ps shows why',
  });
}
