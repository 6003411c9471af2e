/** A cluster as DescribeClusters shows it; counts are those of its records at this moment. */
import { createHash } from 'node:crypto';
import type { Context } from '../context.js';
import type { ClusterState } from '../state/model.js';

/** What operations that change a cluster show of it. */
export const CLUSTER_DETAILS: ReadonlySet<string> = new Set(['CONFIGURATIONS', 'SETTINGS', 'TAGS']);

export async function clusterView(
  { state }: Context,
  cluster: ClusterState,
  include: ReadonlySet<string> = CLUSTER_DETAILS,
): Promise<object> {
  const [tasks, instances, services] = await Promise.all([
    state.tasks.all(cluster.name),
    state.instances.all(cluster.name),
    state.services.all(cluster.name),
  ]);
  const running = tasks.filter((task) => task.lastStatus === 'RUNNING').length;
  const pending = tasks.filter((task) => ['PROVISIONING', 'PENDING', 'ACTIVATING'].includes(task.lastStatus)).length;
  const active = services.filter((service) => service.status === 'ACTIVE').length;
  return {
    clusterArn: cluster.arn,
    clusterName: cluster.name,
    status: cluster.status,
    registeredContainerInstancesCount: instances.filter(
      (instance) => instance.status === 'ACTIVE' || instance.status === 'DRAINING',
    ).length,
    runningTasksCount: running,
    pendingTasksCount: pending,
    activeServicesCount: active,
    statistics: include.has('STATISTICS')
      ? [
          { name: 'runningEC2TasksCount', value: String(running) },
          { name: 'pendingEC2TasksCount', value: String(pending) },
          { name: 'activeEC2ServiceCount', value: String(active) },
          { name: 'drainingEC2ServiceCount', value: String(services.filter((s) => s.status === 'DRAINING').length) },
          { name: 'runningFargateTasksCount', value: '0' },
          { name: 'pendingFargateTasksCount', value: '0' },
          { name: 'activeFargateServiceCount', value: '0' },
          { name: 'drainingFargateServiceCount', value: '0' },
        ]
      : [],
    tags: include.has('TAGS') ? cluster.tags : [],
    settings: include.has('SETTINGS') ? cluster.settings : [],
    configuration: include.has('CONFIGURATIONS') ? cluster.configuration : undefined,
    capacityProviders: cluster.capacityProviders,
    defaultCapacityProviderStrategy: cluster.defaultCapacityProviderStrategy,
    attachments: include.has('ATTACHMENTS') ? scalingAttachments(cluster) : [],
    attachmentsStatus:
      include.has('ATTACHMENTS') && cluster.capacityProviders.length > 0 ? 'UPDATE_COMPLETE' : undefined,
    serviceConnectDefaults: cluster.serviceConnectDefaults,
  };
}

/** The scaling policy that ECS makes for each provider. */
function scalingAttachments(cluster: ClusterState): object[] {
  return cluster.capacityProviders.map((name) => ({
    id: uuidOf(`${cluster.name}/${name}`),
    type: 'as_policy',
    status: 'CREATED',
    details: [
      { name: 'capacityProviderName', value: name },
      { name: 'scalingPolicyName', value: `ECSManagedAutoScalingPolicy-${uuidOf(name)}` },
    ],
  }));
}

/** In the form of a UUID, always the same for a name. */
function uuidOf(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex').slice(0, 32);
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
