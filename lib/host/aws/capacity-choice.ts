/** Two kinds of capacity under one port: the cluster that was deployed is adopted, every other one is made. */
import type { Capacity, ClusterSpec } from '../../platform/index.js';

export class CapacityChoice implements Capacity {
  constructor(
    private readonly deployed: { readonly cluster: string; readonly capacity: Capacity },
    private readonly made: Capacity,
  ) {}

  ensure(cluster: string, wanted: ClusterSpec): Promise<string> {
    return this.of(cluster).ensure(cluster, wanted);
  }

  describe(cluster: string): ReturnType<Capacity['describe']> {
    return this.of(cluster).describe(cluster);
  }

  remove(cluster: string): Promise<void> {
    return this.of(cluster).remove(cluster);
  }

  private of(cluster: string): Capacity {
    return cluster === this.deployed.cluster ? this.deployed.capacity : this.made;
  }
}
