/** `wharf cluster create|ls|rm`. */
import { AppError } from '../../errors/index.js';
import type { CommandDeps } from '../deps.js';
import { timeOut } from '../exit-code.js';
import { formatTable, printJson } from '../output.js';

export interface ClusterCreateInput {
  readonly name: string;
  readonly instances: number;
  /** It grows up to so many by itself. */
  readonly max?: number;
  readonly json?: boolean;
}

export async function createCluster(input: ClusterCreateInput, deps: CommandDeps): Promise<void> {
  const spec = { instances: input.instances, ...(input.max === undefined ? {} : { maximum: input.max }) };
  const cluster = await deps.client.clusters.put(input.name, spec);
  const { registered, maximum } = cluster.instances;
  const growing = maximum === undefined ? '' : `, and grows to ${maximum} when tasks find no room`;
  deps.output.say(`cluster ${cluster.name} has ${registered} instances${growing}\n`);
  if (input.json === true) printJson(deps.output, cluster);
  else deps.output.result(`${cluster.name}\n`);
}

export async function listClusters(input: { readonly json?: boolean }, deps: CommandDeps): Promise<void> {
  const { clusters } = await deps.client.clusters.list({ limit: 1000 });
  if (input.json === true) return printJson(deps.output, { clusters });
  deps.output.result(
    formatTable(
      ['CLUSTER', 'STATUS', 'INSTANCES', 'SERVICES', 'RUNNING', 'PENDING'],
      clusters.map((cluster) => [
        cluster.name,
        cluster.status,
        `${cluster.instances.registered}/${cluster.instances.wanted}`,
        String(cluster.services),
        String(cluster.tasks.running),
        String(cluster.tasks.pending),
      ]),
    ),
  );
}

export interface ClusterRemoveInput {
  readonly name: string;
  readonly force?: boolean;
  readonly timeoutSeconds: number;
  readonly json?: boolean;
}

const POLL_MS = 300;

export async function removeCluster(input: ClusterRemoveInput, deps: CommandDeps): Promise<void> {
  const { client, clock, output } = deps;
  await client.clusters.remove(input.name, { force: input.force === true });
  const until = clock.nowMs() + input.timeoutSeconds * 1000;
  while (await isThere(input.name, deps)) {
    if (clock.nowMs() >= until) throw timeOut(`deleting cluster ${input.name}`, input.timeoutSeconds);
    await clock.sleep(POLL_MS, deps.interrupted);
  }
  if (input.json === true) printJson(output, { cluster: input.name });
  else output.result(`${input.name}\n`);
}

async function isThere(name: string, { client }: CommandDeps): Promise<boolean> {
  try {
    await client.clusters.get(name);
    return true;
  } catch (error) {
    if (error instanceof AppError && error.kind === 'not-found') return false;
    throw error;
  }
}
