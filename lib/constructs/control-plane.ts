/**
 * The control plane on Lambda: `api` answers the HTTP API, `registry` the OCI distribution API, `reconciler` applies
 * ECS events from a queue and, every minute, goes on with what they did not finish.
 */
import { Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import type { Metric, MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import { Match, Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction, SqsQueue } from 'aws-cdk-lib/aws-events-targets';
import { Grant, type IGrantable, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { acknowledgeWildcards } from './acknowledge-wildcards.js';
import { PULL_ACTIONS, PUSH_ACTIONS } from './ecr-actions.js';
import type { ContainerCluster } from './container-cluster.js';
import type { ImageBuilder } from './image-builder.js';
import type { ImageStore } from './image-store.js';
import { WharfFunction } from './wharf-function.js';

export interface ControlPlaneProps {
  readonly store: ImageStore;
  readonly builder: ImageBuilder;
  readonly capacity: ContainerCluster;
  /** How often unfinished deployments go on and lost events are healed. @default Duration.minutes(1) */
  readonly sweepInterval?: Duration;
  /** First part of the names of the ECR repositories that images are copied to. @default wharf */
  readonly mirrorPrefix?: string;
  /** What containers write. @default - a new log group, kept for a month, gone with the stack */
  readonly taskLogs?: LogGroup;
}

export class ControlPlane extends Construct {
  readonly api: WharfFunction;
  readonly registry: WharfFunction;
  readonly reconciler: WharfFunction;
  readonly events: Queue;
  readonly eventDeadLetters: Queue;
  /** What ECS uses to pull images and write logs for a task. */
  readonly executionRole: Role;
  readonly taskLogs: LogGroup;
  /** First part of the names of ECR repositories. */
  readonly mirrorPrefix: string;

  constructor(scope: Construct, id: string, props: ControlPlaneProps) {
    super(scope, id);
    const { store, builder, capacity } = props;
    this.mirrorPrefix = props.mirrorPrefix ?? 'wharf';
    this.taskLogs =
      props.taskLogs ??
      new LogGroup(this, 'TaskLogs', { retention: RetentionDays.ONE_MONTH, removalPolicy: RemovalPolicy.DESTROY });
    this.executionRole = this.createExecutionRole();
    const storeSettings = {
      WHARF_TABLE: store.table.tableName,
      WHARF_BUCKET: store.bucket.bucketName,
      WHARF_SEALING_KEY_ARN: store.sealingKey.secretArn,
    };
    const adminToken = { WHARF_ADMIN_TOKEN_ARN: store.adminToken.secretArn };
    const platformSettings = {
      WHARF_PLATFORM: capacity.platform,
      WHARF_CLUSTER: capacity.clusterName,
      WHARF_MAX_INSTANCES: String(capacity.maxInstances),
      WHARF_CAPACITY_PROVIDER: capacity.capacityProviderName,
      WHARF_EXECUTION_ROLE_ARN: this.executionRole.roleArn,
      WHARF_TASK_LOG_GROUP: this.taskLogs.logGroupName,
      WHARF_MIRROR_PREFIX: this.mirrorPrefix,
    };
    this.api = new WharfFunction(this, 'Api', {
      entry: 'api',
      environment: {
        ...storeSettings,
        ...platformSettings,
        ...adminToken,
        WHARF_BUILD_QUEUE_URL: builder.queue.queueUrl,
      },
      memoryMiB: 1024,
    });
    this.registry = new WharfFunction(this, 'Registry', {
      entry: 'registry',
      environment: { ...storeSettings, ...adminToken },
      memoryMiB: 1024,
    });
    this.reconciler = new WharfFunction(this, 'Reconciler', {
      entry: 'reconciler',
      environment: { ...storeSettings, ...platformSettings },
      timeout: Duration.minutes(5),
      memoryMiB: 1024,
    });
    for (const fn of [this.api, this.registry, this.reconciler]) store.grantReadWrite(fn.role);
    for (const fn of [this.api, this.registry]) store.adminToken.grantRead(fn.role);
    builder.grantBuild(this.api.role);
    for (const fn of [this.api, this.reconciler]) {
      this.allowEcs(fn, capacity);
      this.allowMirror(fn);
    }
    this.allowRunTask(this.api, capacity);

    this.eventDeadLetters = this.queue('EventDeadLetters');
    Validations.of(this.eventDeadLetters).acknowledge({
      id: 'AwsSolutions-SQS3',
      reason: 'It is the dead-letter queue.',
    });
    this.events = this.queue('Events', this.eventDeadLetters);
    this.reconciler.function.addEventSource(
      new SqsEventSource(this.events, {
        batchSize: 10,
        maxBatchingWindow: Duration.seconds(1),
        maxConcurrency: 5,
        reportBatchItemFailures: true,
      }),
    );
    this.listen(capacity, props.sweepInterval ?? Duration.minutes(1));
  }

  /** Lets the grantee pull what the control plane copied to ECR. */
  grantPull(grantee: IGrantable): void {
    Grant.addToPrincipal({ grantee, actions: ['ecr:GetAuthorizationToken'], resourceArns: ['*'] });
    Grant.addToPrincipal({ grantee, actions: [...PULL_ACTIONS], resourceArns: [this.mirrorArn] });
  }

  /** Events that were given up after five tries, which somebody should look at. */
  metricEventDeadLetters(options?: MetricOptions): Metric {
    return this.eventDeadLetters.metricApproximateNumberOfMessagesVisible(options);
  }

  private get mirrorArn(): string {
    const stack = Stack.of(this);
    return stack.formatArn({ service: 'ecr', resource: 'repository', resourceName: `${this.mirrorPrefix}/*` });
  }

  private createExecutionRole(): Role {
    const role = new Role(this, 'ExecutionRole', { assumedBy: new ServicePrincipal('ecs-tasks.amazonaws.com') });
    this.grantPull(role);
    this.taskLogs.grantWrite(role);
    acknowledgeWildcards(role, [
      { finding: /^Resource::arn:.*:ecr:.*:repository\/.*\/\*$/, reason: 'The copied images: made at run time.' },
      { finding: /^Resource::.*Logs.*:\*$/, reason: 'The log streams of tasks: made at run time.' },
      { finding: /^Resource::\*$/, reason: 'ecr:GetAuthorizationToken has no resource.' },
    ]);
    return role;
  }

  private listen(capacity: ContainerCluster, sweepInterval: Duration): void {
    const target = new SqsQueue(this.events, { deadLetterQueue: this.eventDeadLetters });
    new Rule(this, 'EcsEvents', {
      description: 'State changes of this cluster, to the reconciler',
      eventPattern: { source: ['aws.ecs'], detail: { clusterArn: [capacity.cluster.clusterArn] } },
      targets: [target],
    });
    const services = Stack.of(this).formatArn({ service: 'ecs', resource: 'service', resourceName: '' });
    new Rule(this, 'EcsDeployments', {
      description: 'Deployments in this cluster, whose events name the service only, to the reconciler',
      eventPattern: {
        source: ['aws.ecs'],
        detailType: ['ECS Deployment State Change'],
        resources: Match.prefix(`${services}${capacity.clusterName}/`),
      },
      targets: [target],
    });
    // A round that fails is not repeated: the next one comes anyway.
    this.reconciler.function.configureAsyncInvoke({ retryAttempts: 0 });
    new Rule(this, 'Sweep', {
      description: 'Goes on with unfinished deployments and heals what lost events left behind',
      schedule: Schedule.rate(sweepInterval),
      targets: [new LambdaFunction(this.reconciler.function)],
    });
  }

  /** Rights on this one cluster. Task definitions have no resource-level rights for these two, so those are wide. */
  private allowEcs(fn: WharfFunction, capacity: ContainerCluster): void {
    const { clusterArn } = capacity.cluster;
    const inCluster = { ArnEquals: { 'ecs:cluster': clusterArn } };
    const arn = (resource: string): string =>
      Stack.of(this).formatArn({ service: 'ecs', resource, resourceName: `${capacity.clusterName}/*` });
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
    fn.allow(['iam:PassRole'], [this.executionRole.roleArn], {
      StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' },
    });
  }

  private allowRunTask(fn: WharfFunction, capacity: ContainerCluster): void {
    const resourceName = `${capacity.clusterName}--*:*`;
    fn.allow(
      ['ecs:RunTask'],
      [Stack.of(this).formatArn({ service: 'ecs', resource: 'task-definition', resourceName })],
      {
        ArnEquals: { 'ecs:cluster': capacity.cluster.clusterArn },
      },
    );
  }

  /** Lets the function copy images to ECR under the prefix. */
  allowMirror(fn: WharfFunction): void {
    this.grantPull(fn.role);
    fn.allow(['ecr:CreateRepository', ...PUSH_ACTIONS], [this.mirrorArn]);
  }

  private queue(id: string, deadLetters?: Queue): Queue {
    return new Queue(this, id, {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(deadLetters === undefined ? 14 : 4),
      visibilityTimeout: Duration.minutes(30),
      ...(deadLetters === undefined ? {} : { deadLetterQueue: { queue: deadLetters, maxReceiveCount: 5 } }),
    });
  }
}
