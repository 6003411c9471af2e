/** Waiting for a deployment to end, telling what is new on the way. */
import { AppError } from '../../errors/index.js';
import type { Deployed, Deployment, Service, Task } from '../../platform/index.js';
import type { CommandDeps } from '../deps.js';
import { timeOut } from '../exit-code.js';
import { printJson } from '../output.js';
import { allTasks } from './ps.js';

export interface RolloutInput {
  /** False: return as soon as it is under way. */
  readonly wait: boolean;
  readonly timeoutSeconds: number;
  readonly json?: boolean;
}

const POLL_MS = 300;

/** @throws AppError DEPLOYMENT_FAILED, TIMEOUT */
export async function finishRollout(deployed: Deployed, input: RolloutInput, deps: CommandDeps): Promise<void> {
  const { output } = deps;
  const { cluster, name } = deployed.service;
  const { number, rollbackOf } = deployed.release;
  const origin = rollbackOf === undefined ? deployed.release.spec.image : `as release ${rollbackOf} was`;
  output.say(
    deployed.changed ? `release ${number} of ${name}: ${origin}\n` : `release ${number} of ${name} is unchanged\n`,
  );
  const service = input.wait ? await settled(deployed, input, deps) : deployed.service;
  const deployment = input.wait ? await deploymentOf(deployed, deps) : deployed.deployment;
  if (input.json === true) printJson(output, { service, release: deployed.release, deployment });
  if (deployment.status === 'failed' || deployment.status === 'rolled-back') throw await failed(deployment, deps);
  if (deployment.status === 'superseded') output.say(`${deployment.reason ?? 'a newer release was deployed'}\n`);
  if (input.json !== true) output.result(`${service.url ?? `${cluster}/${name}`}\n`);
}

async function settled(deployed: Deployed, input: RolloutInput, deps: CommandDeps): Promise<Service> {
  const { client, clock, output } = deps;
  const { cluster, name } = deployed.service;
  const until = clock.nowMs() + input.timeoutSeconds * 1000;
  let told = '';
  for (;;) {
    const service = await client.services.get(cluster, name);
    const { deployment, count } = service;
    const isOpen = deployment?.status === 'pending' || deployment?.status === 'in-progress';
    if (deployment?.id !== deployed.deployment.id || !isOpen) return service;
    const line = `${count.running} tasks run, ${count.desired} are wanted${deployment.reason === undefined ? '' : ` (${deployment.reason})`}`;
    if (line !== told) output.say(output.colors.dim(`  ${line}\n`));
    told = line;
    if (clock.nowMs() >= until) throw timeOut(`release ${deployment.release} of ${name}`, input.timeoutSeconds);
    await clock.sleep(POLL_MS, deps.interrupted).catch((reason: unknown) => {
      output.say(`release ${deployment.release} of ${name} goes on; wharf ps ${name} shows how it stands\n`);
      throw reason;
    });
  }
}

async function deploymentOf(deployed: Deployed, { client }: CommandDeps): Promise<Deployment> {
  const { cluster, name } = deployed.service;
  const { deployments } = await client.services.deployments(cluster, name, { limit: 100 });
  return deployments.find(({ id }) => id === deployed.deployment.id) ?? deployed.deployment;
}

async function failed(deployment: Deployment, deps: CommandDeps): Promise<AppError> {
  const { release, service, reason = 'no reason was given', rolledBackTo } = deployment;
  const back = rolledBackTo === undefined ? '' : `; release ${rolledBackTo} runs again`;
  const last = await lastTaskOf(deployment, deps);
  const logs = last === undefined ? '' : `wharf logs ${last.id.slice(0, 12)} shows what its last task wrote; `;
  return new AppError('DEPLOYMENT_FAILED', `release ${release} of ${service} failed: ${reason}${back}`, {
    kind: 'failed',
    hint: `${logs}wharf events ${service} what happened`,
  });
}

/** The newest task of the release that ran and has ended. */
async function lastTaskOf({ cluster, service, release }: Deployment, deps: CommandDeps): Promise<Task | undefined> {
  const tasks = await allTasks(cluster, { service, all: true }, deps);
  const ended = tasks.filter(
    ({ release: of, status, containers }) =>
      of === release && status === 'STOPPED' && containers.some(({ exitCode }) => exitCode !== undefined),
  );
  return ended.toSorted((a, b) => (b.createdMs ?? 0) - (a.createdMs ?? 0))[0];
}
