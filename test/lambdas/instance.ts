/** A container instance for the cluster of the account, registered as its ECS agent would. */
import type { EcsStandIn } from '../fakes/account/ecs.js';

export interface InstanceSize {
  readonly instanceType: string;
  readonly cpu: number;
  readonly memory: number;
}

export async function addCluster(ecs: EcsStandIn, cluster: string, size: InstanceSize): Promise<void> {
  const { instanceType, cpu, memory } = size;
  await ecs.ask('CreateCluster', { clusterName: cluster });
  await ecs.ask('RegisterContainerInstance', {
    cluster,
    instanceIdentityDocument: JSON.stringify({ instanceId: 'i-1', instanceType, region: 'eu-central-1' }),
    totalResources: [
      { name: 'CPU', type: 'INTEGER', integerValue: cpu },
      { name: 'MEMORY', type: 'INTEGER', integerValue: memory },
      { name: 'PORTS', type: 'STRINGSET', stringSetValue: ['22'] },
      { name: 'PORTS_UDP', type: 'STRINGSET', stringSetValue: [] },
    ],
    attributes: [
      { name: 'ecs.os-type', value: 'linux' },
      { name: 'ecs.cpu-architecture', value: 'arm64' },
    ],
  });
}
