/**
 * The control plane on Lambda: `api` answers the HTTP API, `registry` the OCI distribution API, `reconciler` applies
 * ECS events from a queue and, every few minutes, sweeps up what events lost.
 */
import { Duration, Stack, Validations } from 'aws-cdk-lib';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction, SqsQueue } from 'aws-cdk-lib/aws-events-targets';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import type { ContainerCluster } from './container-cluster.js';
import type { ImageBuilder } from './image-builder.js';
import type { ImageStore } from './image-store.js';
import { WharfFunction } from './wharf-function.js';

export interface ControlPlaneProps {
  readonly store: ImageStore;
  readonly builder: ImageBuilder;
  readonly capacity: ContainerCluster;
  /** How often lost events are healed. @default Duration.minutes(5) */
  readonly sweepInterval?: Duration;
}

export class ControlPlane extends Construct {
  readonly api: WharfFunction;
  readonly registry: WharfFunction;
  readonly reconciler: WharfFunction;
  readonly events: Queue;
  readonly eventDeadLetters: Queue;
  /** What ECS uses to pull images and write logs for a task. */
  readonly executionRole: Role;

  constructor(scope: Construct, id: string, props: ControlPlaneProps) {
    super(scope, id);
    const { store, builder, capacity } = props;
    this.executionRole = new Role(this, 'ExecutionRole', {
      assumedBy: new ServicePrincipal('ecs-tasks.amazonaws.com'),
    });
    const environment = {
      WHARF_TABLE: store.table.tableName,
      WHARF_BUCKET: store.bucket.bucketName,
      WHARF_BUILD_QUEUE_URL: builder.queue.queueUrl,
      WHARF_SEALING_KEY_ARN: store.sealingKey.secretArn,
      WHARF_ADMIN_TOKEN_ARN: store.adminToken.secretArn,
      WHARF_CLUSTER: capacity.cluster.clusterName,
      WHARF_CAPACITY_PROVIDER: capacity.capacityProvider.capacityProviderName,
      WHARF_EXECUTION_ROLE_ARN: this.executionRole.roleArn,
    };
    this.api = new WharfFunction(this, 'Api', { entry: 'api', environment, memoryMiB: 1024 });
    this.registry = new WharfFunction(this, 'Registry', { entry: 'registry', environment, memoryMiB: 1024 });
    this.reconciler = new WharfFunction(this, 'Reconciler', {
      entry: 'reconciler',
      environment,
      timeout: Duration.minutes(2),
    });
    for (const fn of [this.api, this.registry, this.reconciler]) store.grantReadWrite(fn.role);
    for (const fn of [this.api, this.registry]) store.adminToken.grantRead(fn.role);
    builder.grantBuild(this.api.role);
    this.allowEcs(this.api, capacity, true);
    this.allowEcs(this.reconciler, capacity, false);

    this.eventDeadLetters = this.queue('EventDeadLetters');
    Validations.of(this.eventDeadLetters).acknowledge({
      id: 'AwsSolutions-SQS3',
      reason: 'It is the dead-letter queue.',
    });
    this.events = this.queue('Events', this.eventDeadLetters);
    this.reconciler.function.addEventSource(
      new SqsEventSource(this.events, {
        batchSize: 25,
        maxBatchingWindow: Duration.seconds(1),
        reportBatchItemFailures: true,
      }),
    );
    new Rule(this, 'EcsEvents', {
      description: 'State changes of this cluster, to the reconciler',
      eventPattern: { source: ['aws.ecs'], detail: { clusterArn: [capacity.cluster.clusterArn] } },
      targets: [new SqsQueue(this.events, { deadLetterQueue: this.eventDeadLetters })],
    });
    new Rule(this, 'Sweep', {
      description: 'Heals what lost events left behind',
      schedule: Schedule.rate(props.sweepInterval ?? Duration.minutes(5)),
      targets: [new LambdaFunction(this.reconciler.function, { deadLetterQueue: this.eventDeadLetters })],
    });
  }

  /** Rights on this one cluster. Task definitions have no resource-level rights for registering, so that one is wide. */
  private allowEcs(fn: WharfFunction, capacity: ContainerCluster, write: boolean): void {
    const stack = Stack.of(this);
    const cluster = capacity.cluster;
    const inCluster = { ArnEquals: { 'ecs:cluster': cluster.clusterArn } };
    const arn = (resource: string): string =>
      stack.formatArn({ service: 'ecs', resource, resourceName: `${cluster.clusterName}/*` });
    fn.allow(
      ['ecs:DescribeTasks', 'ecs:DescribeContainerInstances', 'ecs:DescribeServices'],
      [arn('task'), arn('container-instance'), arn('service')],
      inCluster,
    );
    fn.allow(['ecs:ListTasks', 'ecs:ListContainerInstances'], [arn('container-instance')], inCluster);
    fn.allow(['ecs:DescribeClusters', 'ecs:ListContainerInstances'], [cluster.clusterArn]);
    fn.allow(['ecs:ListServices', 'ecs:DescribeTaskDefinition'], ['*']);
    if (write) {
      fn.allow(
        ['ecs:CreateService', 'ecs:UpdateService', 'ecs:DeleteService', 'ecs:StopTask', 'ecs:TagResource'],
        [arn('service'), arn('task')],
        inCluster,
      );
      fn.allow(
        ['ecs:RunTask'],
        [stack.formatArn({ service: 'ecs', resource: 'task-definition', resourceName: 'wharf-*:*' })],
        inCluster,
      );
      fn.allow(['ecs:RegisterTaskDefinition', 'ecs:DeregisterTaskDefinition'], ['*']);
      fn.allow(['iam:PassRole'], [this.executionRole.roleArn], {
        StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' },
      });
    }
  }

  private queue(id: string, deadLetters?: Queue): Queue {
    return new Queue(this, id, {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(deadLetters === undefined ? 14 : 4),
      visibilityTimeout: Duration.minutes(12),
      ...(deadLetters === undefined ? {} : { deadLetterQueue: { queue: deadLetters, maxReceiveCount: 5 } }),
    });
  }
}
