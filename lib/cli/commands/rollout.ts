/** Waiting for a deployment to end, telling what is new on the way. */
import { AppError } from '../../errors/index.js';
import type { Deployed, Deployment, Service } from '../../platform/index.js';
import type { CommandDeps } from '../deps.js';
import { timeOut } from '../exit-code.js';
import { printJson } from '../output.js';

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
  if (deployment.status === 'failed' || deployment.status === 'rolled-back') throw failed(deployment);
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
    await clock.sleep(POLL_MS, deps.interrupted);
  }
}

async function deploymentOf(deployed: Deployed, { client }: CommandDeps): Promise<Deployment> {
  const { cluster, name } = deployed.service;
  const { deployments } = await client.services.deployments(cluster, name, { limit: 100 });
  return deployments.find(({ id }) => id === deployed.deployment.id) ?? deployed.deployment;
}

function failed(deployment: Deployment): AppError {
  const back = deployment.rolledBackTo === undefined ? '' : `; release ${deployment.rolledBackTo} runs again`;
  const reason = deployment.reason ?? 'no reason was given';
  return new AppError(
    'DEPLOYMENT_FAILED',
    `release ${deployment.release} of ${deployment.service} failed: ${reason}${back}`,
    {
      kind: 'failed',
      hint: `wharf logs ${deployment.service}, or GET /v1/events?cluster=${deployment.cluster}&service=${deployment.service}`,
    },
  );
}
