/** What there is in the end: asked of ECS itself and of the API, so that the two can be held against each other. */
import type { Digest } from '../../../lib/oci/index.js';
import { location } from '../../protocol/registry/wire.js';
import { CLUSTER, found, type KillLab } from './lab.js';

interface EcsTask {
  readonly taskArn: string;
  readonly lastStatus: string;
  readonly taskDefinitionArn: string;
}

/** All tasks that ECS ever started for it: by service, or by who started them. */
export async function ecsTasks(
  { cloud }: KillLab,
  filter: { readonly serviceName?: string; readonly startedBy?: string },
): Promise<readonly EcsTask[]> {
  const lists = await Promise.all(
    ['RUNNING', 'STOPPED'].map(async (desiredStatus) => {
      const { taskArns = [] } = await cloud.ecs.ask('ListTasks', { cluster: CLUSTER, desiredStatus, ...filter });
      return taskArns as readonly string[];
    }),
  );
  const tasks = lists.flat();
  if (tasks.length === 0) return [];
  return (await cloud.ecs.ask('DescribeTasks', { cluster: CLUSTER, tasks }))['tasks'] as readonly EcsTask[];
}

export async function ecsService({ cloud }: KillLab, name: string): Promise<string> {
  const { services } = await cloud.ecs.ask('DescribeServices', { cluster: CLUSTER, services: [name] });
  const [service] = services as readonly { readonly status: string; readonly desiredCount: number }[];
  return service === undefined || service.status === 'INACTIVE' ? 'none' : `${service.status} ${service.desiredCount}`;
}

export interface ServiceTruth {
  readonly releases: readonly number[];
  readonly deployment: string;
  readonly ecs: string;
  /** That run now, and ever started. */
  readonly tasks: readonly [running: number, ever: number];
  readonly told: Readonly<Record<string, number>>;
}

/** Undefined when the API knows no such service. */
export async function serviceTruth(lab: KillLab, name: string): Promise<ServiceTruth | undefined> {
  const { client } = lab.later;
  const service = await found(client.services.get(CLUSTER, name));
  if (service === undefined) return undefined;
  const { releases } = await client.services.releases(CLUSTER, name);
  const tasks = await ecsTasks(lab, { serviceName: name });
  return {
    releases: releases.map(({ number }) => number),
    deployment: service.deployment?.status ?? 'none',
    ecs: await ecsService(lab, name),
    tasks: [tasks.filter(({ lastStatus }) => lastStatus === 'RUNNING').length, tasks.length],
    told: await told(lab, name),
  };
}

/** How often each kind of event about releases is told. */
export async function told({ later }: KillLab, service: string): Promise<Readonly<Record<string, number>>> {
  const { events } = await later.client.events.list({ cluster: CLUSTER, service, limit: 500 });
  const counts: Record<string, number> = {};
  for (const { type } of events) {
    if (/^(release|deployment|service)-/.test(type)) counts[type] = (counts[type] ?? 0) + 1;
  }
  return counts;
}

interface ManifestDocument {
  readonly config: { readonly digest: Digest };
  readonly layers: readonly { readonly digest: Digest }[];
}

/** Whether there is such a manifest. @throws Error when there is one and something that it names cannot be read */
export async function pullable({ later }: KillLab, repository: string, reference: string): Promise<boolean> {
  const { wire } = later;
  const manifest = await wire.send('GET', `/v2/${repository}/manifests/${reference}`);
  if (manifest.status === 404) return false;
  if (manifest.status !== 200) throw new Error(`${repository}:${reference} answers ${manifest.status}`);
  const { config, layers } = JSON.parse(manifest.bytes.toString()) as ManifestDocument;
  for (const { digest } of [config, ...layers]) {
    const answer = await wire.send('GET', `/v2/${repository}/blobs/${digest}`);
    const status = answer.status === 307 ? (await fetch(location(answer))).status : answer.status;
    if (status !== 200) throw new Error(`${repository}:${reference} names ${digest}, which answers ${status}`);
  }
  return true;
}
