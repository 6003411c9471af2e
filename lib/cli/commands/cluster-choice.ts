/** Which cluster a command means: the one that was named, or the only one there is. */
import { AppError } from '../../errors/index.js';
import type { CommandDeps } from '../deps.js';

/** @throws AppError CLUSTER_UNCLEAR */
export async function chooseCluster(named: string | undefined, deps: CommandDeps): Promise<string> {
  const given = named ?? deps.env['WHARF_CLUSTER'];
  if (given !== undefined && given !== '') return given;
  const { clusters } = await deps.client.clusters.list({ limit: 2 });
  const [only, second] = clusters;
  if (only !== undefined && second === undefined) return only.name;
  throw new AppError(
    'CLUSTER_UNCLEAR',
    only === undefined ? 'there is no cluster yet' : 'there are several clusters; which one is not said',
    { hint: only === undefined ? 'wharf cluster create main --instances 2' : '--cluster NAME, or WHARF_CLUSTER' },
  );
}
