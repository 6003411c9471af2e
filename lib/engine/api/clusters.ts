/** Clusters: create, describe, list, change, delete. */
import * as z from 'zod';
import { checkStrategy, refuseFargate } from '../capacity/strategy.js';
import { EcsError, clusterNotFound, invalidParameter } from '../ecs-error.js';
import type { ClusterState } from '../state/model.js';
import { clusterView } from './cluster-view.js';
import { capacityProviderStrategy, maxResults, nextToken, resourceName, strings, tags, text } from './input.js';
import { operation, requireCluster, type Api, type Failure, type Operation } from './operation.js';
import { pageOf } from './page.js';

const settings = z.array(
  z.object({ name: z.enum(['containerInsights']), value: z.enum(['enabled', 'disabled', 'enhanced']) }),
);
const configuration = z.object({
  executeCommandConfiguration: z
    .object({
      kmsKeyId: text.optional(),
      logging: z.enum(['NONE', 'DEFAULT', 'OVERRIDE']).optional(),
      logConfiguration: z
        .object({
          cloudWatchLogGroupName: text.optional(),
          cloudWatchEncryptionEnabled: z.boolean().optional(),
          s3BucketName: text.optional(),
          s3EncryptionEnabled: z.boolean().optional(),
          s3KeyPrefix: text.optional(),
        })
        .optional(),
    })
    .optional(),
  managedStorageConfiguration: z
    .object({ kmsKeyId: text.optional(), fargateEphemeralStorageKmsKeyId: text.optional() })
    .optional(),
});
const serviceConnectDefaults = z.object({ namespace: text });

const INACTIVE_KEPT_MS = 3_600_000;

const createCluster = operation(
  z.object({
    clusterName: resourceName.optional(),
    tags: tags.optional(),
    settings: settings.optional(),
    configuration: configuration.optional(),
    capacityProviders: strings.max(20).optional(),
    defaultCapacityProviderStrategy: capacityProviderStrategy.optional(),
    serviceConnectDefaults: serviceConnectDefaults.optional(),
  }),
  async (api, input) => {
    const { state, arns } = api.context;
    const name = input.clusterName ?? 'default';
    const cluster: ClusterState = {
      name,
      arn: arns.cluster(name),
      status: 'ACTIVE',
      settings: input.settings ?? [{ name: 'containerInsights', value: 'disabled' }],
      ...(input.configuration === undefined ? {} : { configuration: input.configuration }),
      ...(input.serviceConnectDefaults === undefined ? {} : { serviceConnectDefaults: input.serviceConnectDefaults }),
      capacityProviders: input.capacityProviders ?? [],
      defaultCapacityProviderStrategy: input.defaultCapacityProviderStrategy ?? [],
      tags: input.tags ?? [],
    };
    await requireProviders(api, cluster.capacityProviders);
    checkStrategy(cluster.defaultCapacityProviderStrategy, cluster);
    // Creating what exists gives what exists; a deleted cluster's name is free again.
    if (await state.clusters.create('', name, cluster)) {
      await api.clusterChanged(name);
      return { cluster: await clusterView(api.context, cluster) };
    }
    const existing = await state.clusters.get('', name);
    if (existing?.status === 'ACTIVE') return { cluster: await clusterView(api.context, existing) };
    await state.clusters.put('', name, cluster);
    await api.clusterChanged(name);
    return { cluster: await clusterView(api.context, cluster) };
  },
);

const describeClusters = operation(
  z.object({
    clusters: strings.max(100).optional(),
    include: z.array(z.enum(['ATTACHMENTS', 'CONFIGURATIONS', 'SETTINGS', 'STATISTICS', 'TAGS'])).optional(),
  }),
  async (api, input) => {
    const include = new Set<string>(input.include);
    const clusters: object[] = [];
    const failures: Failure[] = [];
    for (const asked of input.clusters ?? ['default']) {
      const name = api.context.arns.shortName('cluster', asked);
      const cluster = await api.context.state.clusters.get('', name);
      if (cluster === undefined) failures.push({ arn: api.context.arns.cluster(name), reason: 'MISSING' });
      else clusters.push(await clusterView(api.context, cluster, include));
    }
    return { clusters, failures };
  },
);

const listClusters = operation(z.object({ nextToken, maxResults: maxResults() }), async (api, input) => {
  const all = await api.context.state.clusters.all('');
  const page = pageOf(
    all.filter((cluster) => cluster.status === 'ACTIVE'),
    (cluster) => cluster.name,
    input,
  );
  return { clusterArns: page.items.map((cluster) => cluster.arn), nextToken: page.nextToken };
});

const deleteCluster = operation(z.object({ cluster: text }), async (api, input) => {
  const { state, deps } = api.context;
  const cluster = await requireCluster(api, input.cluster);
  const services = await state.services.all(cluster.name);
  if (services.some((service) => service.status !== 'INACTIVE')) {
    throw new EcsError('ClusterContainsServicesException', 'The Cluster cannot be deleted while Services are active.');
  }
  const instances = await state.instances.all(cluster.name);
  if (instances.some((instance) => instance.status !== 'INACTIVE')) {
    throw new EcsError(
      'ClusterContainsContainerInstancesException',
      'The Cluster cannot be deleted while Container Instances are active or draining.',
    );
  }
  if ((await state.tasks.all(cluster.name)).length > 0) {
    throw new EcsError('ClusterContainsTasksException', 'The Cluster cannot be deleted while Tasks are active.');
  }
  const after = await state.clusters.update(
    '',
    cluster.name,
    (now) => ({ ...now, status: 'INACTIVE' }),
    deps.clock.nowMs() + INACTIVE_KEPT_MS,
  );
  if (after === undefined) throw clusterNotFound();
  return { cluster: await clusterView(api.context, after) };
});

async function changeCluster(
  api: Api,
  nameOrArn: string,
  change: (cluster: ClusterState) => ClusterState,
): Promise<object> {
  const { name } = await requireCluster(api, nameOrArn);
  const after = await api.context.state.clusters.update('', name, change);
  if (after === undefined) throw clusterNotFound();
  return { cluster: await clusterView(api.context, after) };
}

const updateCluster = operation(
  z.object({
    cluster: text,
    settings: settings.optional(),
    configuration: configuration.optional(),
    serviceConnectDefaults: serviceConnectDefaults.optional(),
  }),
  (api, input) =>
    changeCluster(api, input.cluster, (cluster) => ({
      ...cluster,
      ...(input.settings === undefined ? {} : { settings: input.settings }),
      ...(input.configuration === undefined ? {} : { configuration: input.configuration }),
      ...(input.serviceConnectDefaults === undefined ? {} : { serviceConnectDefaults: input.serviceConnectDefaults }),
    })),
);

const updateClusterSettings = operation(z.object({ cluster: text, settings }), (api, input) =>
  changeCluster(api, input.cluster, (cluster) => ({ ...cluster, settings: input.settings })),
);

const putClusterCapacityProviders = operation(
  z.object({
    cluster: text,
    capacityProviders: strings.max(20),
    defaultCapacityProviderStrategy: capacityProviderStrategy,
  }),
  async (api, input) => {
    await requireProviders(api, input.capacityProviders);
    const before = await requireCluster(api, input.cluster);
    checkStrategy(input.defaultCapacityProviderStrategy, { ...before, capacityProviders: input.capacityProviders });
    await refuseInUse(api, before, input.capacityProviders);
    const view = await changeCluster(api, input.cluster, (cluster) => ({
      ...cluster,
      capacityProviders: input.capacityProviders,
      defaultCapacityProviderStrategy: input.defaultCapacityProviderStrategy,
    }));
    await api.clusterChanged(before.name);
    return view;
  },
);

/** A provider stays while tasks or services of the cluster use it. @throws ResourceInUseException */
async function refuseInUse(api: Api, cluster: ClusterState, kept: readonly string[]): Promise<void> {
  const { state } = api.context;
  const dropped = cluster.capacityProviders.filter((name) => !kept.includes(name));
  if (dropped.length === 0) return;
  const tasks = (await state.tasks.all(cluster.name)).flatMap((task) => task.capacityProviderName ?? []);
  const services = (await state.services.all(cluster.name))
    .filter(({ status }) => status === 'ACTIVE')
    .flatMap((service) => service.capacityProviderStrategy?.map((item) => item.capacityProvider) ?? []);
  const used = dropped.find((name) => tasks.includes(name) || services.includes(name));
  if (used === undefined) return;
  throw new EcsError(
    'ResourceInUseException',
    `The specified capacity provider is in use and cannot be removed: ${used} is used by tasks or services of ${cluster.name}.`,
  );
}

async function requireProviders(api: Api, names: readonly string[]): Promise<void> {
  for (const name of names) {
    refuseFargate(name);
    if ((await api.context.state.providers.get('', name))?.status !== 'ACTIVE') {
      throw invalidParameter(`The specified capacity provider '${name}' was not found.`);
    }
  }
}

export const clusterOperations: Readonly<Record<string, Operation>> = {
  CreateCluster: createCluster,
  DescribeClusters: describeClusters,
  ListClusters: listClusters,
  DeleteCluster: deleteCluster,
  UpdateCluster: updateCluster,
  UpdateClusterSettings: updateClusterSettings,
  PutClusterCapacityProviders: putClusterCapacityProviders,
};
