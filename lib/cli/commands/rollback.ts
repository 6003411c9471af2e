/** `wharf rollback`: an earlier release again, as a new one. */
import type { CommandDeps } from '../deps.js';
import { chooseCluster } from './cluster-choice.js';
import { finishRollout, type RolloutInput } from './rollout.js';

export interface RollbackInput extends RolloutInput {
  readonly service: string;
  readonly cluster?: string;
  /** The last complete release before the newest when absent. */
  readonly to?: number;
}

export async function rollback(input: RollbackInput, deps: CommandDeps): Promise<void> {
  const cluster = await chooseCluster(input.cluster, deps);
  await finishRollout(await deps.client.services.rollback(cluster, input.service, input.to), input, deps);
}
