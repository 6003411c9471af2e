/** What the control plane may do in ECS: bound to the one cluster, but for what IAM cannot narrow. */
import { Stack } from 'aws-cdk-lib';
import type { IRole } from 'aws-cdk-lib/aws-iam';
import type { IContainerCluster } from './container-cluster-base.js';
import type { WharfFunction } from './wharf-function.js';

/** One cluster, or several by a pattern of their names. */
export type Clusters = Pick<IContainerCluster, 'clusterArn' | 'clusterName'>;

/** Services, their tasks and instances. Task definitions have no resource-level rights for these two, so those are wide. */
export function allowServices(fn: WharfFunction, capacity: Clusters, executionRole: IRole): void {
  const { clusterArn } = capacity;
  const inCluster = { ArnEquals: { 'ecs:cluster': clusterArn } };
  const arn = (resource: string): string =>
    Stack.of(fn).formatArn({ service: 'ecs', resource, resourceName: `${capacity.clusterName}/*` });
  fn.allow(
    [
      'ecs:DescribeTasks',
      'ecs:DescribeContainerInstances',
      'ecs:DescribeServices',
      'ecs:CreateService',
      'ecs:UpdateService',
      'ecs:DeleteService',
      'ecs:StopTask',
      'ecs:UpdateContainerInstancesState',
    ],
    [arn('task'), arn('container-instance'), arn('service')],
    inCluster,
  );
  fn.allow(['ecs:ListTasks'], [arn('container-instance')], inCluster);
  fn.allow(['ecs:DescribeClusters', 'ecs:ListContainerInstances'], [clusterArn]);
  fn.allow(['ecs:DescribeTaskDefinition', 'ecs:RegisterTaskDefinition'], ['*']);
  fn.allow(['iam:PassRole'], [executionRole.roleArn], {
    StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' },
  });
}

/** Single tasks, of task definitions that Wharf made for the cluster. */
export function allowTasks(fn: WharfFunction, capacity: Clusters): void {
  const resourceName = `${capacity.clusterName}--*:*`;
  const definitions = Stack.of(fn).formatArn({ service: 'ecs', resource: 'task-definition', resourceName });
  fn.allow(['ecs:RunTask'], [definitions], { ArnEquals: { 'ecs:cluster': capacity.clusterArn } });
}
