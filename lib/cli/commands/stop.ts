/** `wharf stop`: a task, or all tasks of a service (which stays, with count 0). `wharf rm`: the service itself. */
import { AppError } from '../../errors/index.js';
import type { CommandDeps } from '../deps.js';
import { timeOut } from '../exit-code.js';
import { printJson } from '../output.js';
import { chooseCluster } from './cluster-choice.js';
import { findNamed } from './find-tasks.js';
import { releaseBefore } from './release-before.js';
import { finishRollout, type RolloutInput } from './rollout.js';

export interface StopInput extends RolloutInput {
  readonly name: string;
  readonly cluster?: string;
}

const POLL_MS = 300;

export async function stop(input: StopInput, deps: CommandDeps): Promise<void> {
  const cluster = await chooseCluster(input.cluster, deps);
  const found = await findNamed(cluster, input.name, deps);
  if (found.kind === 'service') {
    const before = await releaseBefore(cluster, found.service.name, deps);
    if (before === undefined)
      throw new AppError('RELEASE_NOT_FOUND', `service ${input.name} has no release`, { kind: 'not-found' });
    const deployed = await deps.client.services.put(cluster, found.service.name, { ...before.spec, count: 0 });
    return finishRollout(deployed, input, deps);
  }
  let task = await deps.client.tasks.stop(cluster, found.task.id);
  const until = deps.clock.nowMs() + input.timeoutSeconds * 1000;
  while (input.wait && task.status !== 'STOPPED') {
    if (deps.clock.nowMs() >= until) throw timeOut(`stopping task ${task.id}`, input.timeoutSeconds);
    await deps.clock.sleep(POLL_MS, deps.interrupted);
    task = await deps.client.tasks.get(cluster, task.id);
  }
  if (input.json === true) printJson(deps.output, task);
  else deps.output.result(`${task.id}\n`);
}

export async function remove(input: StopInput, deps: CommandDeps): Promise<void> {
  const cluster = await chooseCluster(input.cluster, deps);
  await deps.client.services.remove(cluster, input.name);
  const isGone = async () => {
    const { services } = await deps.client.services.list(cluster, { limit: 1000 });
    return !services.some(({ name }) => name === input.name);
  };
  const until = deps.clock.nowMs() + input.timeoutSeconds * 1000;
  while (input.wait && !(await isGone())) {
    if (deps.clock.nowMs() >= until) throw timeOut(`deleting service ${input.name}`, input.timeoutSeconds);
    await deps.clock.sleep(POLL_MS, deps.interrupted);
  }
  if (input.json === true) printJson(deps.output, { cluster, service: input.name });
  else deps.output.result(`${input.name}\n`);
}
