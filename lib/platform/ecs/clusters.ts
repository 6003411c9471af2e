/** Clusters of ECS. */
import type { Cluster } from '@aws-sdk/client-ecs';
import { absentIsFine, type EcsCalls, present } from './calls.js';

const CLUSTERS_PER_CALL = 100;

export class EcsClusters {
  constructor(private readonly ecs: EcsCalls) {}

  /** Idempotent, as ECS has it: an ACTIVE cluster of the name is answered as it is. */
  async create(name: string): Promise<Cluster> {
    const { cluster } = await this.ecs.call('CreateCluster', (sdk, client) =>
      client.send(new sdk.CreateClusterCommand({ clusterName: name })),
    );
    return present(cluster, 'CreateCluster', 'cluster');
  }

  async describe(names: readonly string[]): Promise<readonly Cluster[]> {
    return this.ecs.batched(names, CLUSTERS_PER_CALL, async (clusters) => {
      const output = await this.ecs.call('DescribeClusters', (sdk, client) =>
        client.send(new sdk.DescribeClustersCommand({ clusters })),
      );
      return output.clusters ?? [];
    });
  }

  /** False when there was none. */
  async delete(name: string): Promise<boolean> {
    return absentIsFine(['ClusterNotFoundException'], () =>
      this.ecs.call('DeleteCluster', (sdk, client) => client.send(new sdk.DeleteClusterCommand({ cluster: name }))),
    );
  }
}
