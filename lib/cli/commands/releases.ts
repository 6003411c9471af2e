/** `wharf releases`: what was deployed of a service, and what became of it: what `wharf rollback --to` is chosen from. */
import type { Deployment } from '../../platform/index.js';
import type { CommandDeps } from '../deps.js';
import { formatAge, formatTable, printJson } from '../output.js';
import { chooseCluster } from './cluster-choice.js';

export interface ReleasesInput {
  readonly service: string;
  readonly cluster?: string;
  /** So many at most, newest first. */
  readonly limit: number;
  readonly json?: boolean;
}

export async function releases(input: ReleasesInput, deps: CommandDeps): Promise<void> {
  const { client, output, clock } = deps;
  const cluster = await chooseCluster(input.cluster, deps);
  const [service, { releases: found }, { deployments }] = await Promise.all([
    client.services.get(cluster, input.service),
    client.services.releases(cluster, input.service, { limit: input.limit }),
    client.services.deployments(cluster, input.service, { limit: input.limit }),
  ]);
  if (input.json === true) return printJson(output, { service, releases: found, deployments });
  const ofRelease = new Map<number, Deployment>(deployments.map((each) => [each.release, each]));
  const rows = found.map(({ number, image, spec, rollbackOf, createdMs }) => [
    `${number}${number === service.currentRelease ? ' *' : ''}`,
    spec.image,
    image.digest.slice(0, 19),
    String(spec.count),
    ofRelease.get(number)?.status ?? '',
    rollbackOf === undefined ? '' : `release ${rollbackOf} again`,
    formatAge(clock.nowMs() - createdMs),
  ]);
  output.result(formatTable(['RELEASE', 'IMAGE', 'DIGEST', 'COUNT', 'DEPLOYMENT', 'ROLLBACK', 'AGE'], rows));
  output.say(output.colors.dim('* is deployed; wharf rollback --to RELEASE deploys another one again\n'));
}
