/** What is kept of a cluster; the rest is asked of ECS. */
export interface ClusterRecord {
  readonly name: string;
  readonly arn: string;
  readonly instances: number;
  readonly status: 'active' | 'deleting';
  readonly createdMs: number;
}
