/** What is kept of a cluster; the rest is asked of ECS. */
export interface ClusterRecord {
  readonly name: string;
  readonly arn: string;
  readonly instances: number;
  /** Of a cluster that grows by itself. */
  readonly maximum?: number;
  readonly status: 'active' | 'deleting';
  readonly createdMs: number;
}
