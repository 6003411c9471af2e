/**
 * The control plane on Lambda: `api` answers the HTTP API, `registry` the OCI distribution API, `reconciler` applies
 * ECS events from a queue and, every minute, goes on with what they did not finish.
 */
import { Duration, RemovalPolicy, Stack, Token, Tokenization, Validations } from 'aws-cdk-lib';
import { type Metric, type MetricOptions, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import { Match, Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction, SqsQueue } from 'aws-cdk-lib/aws-events-targets';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import { type ILogGroup, LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { isRepositoryName } from '../oci/index.js';
import { acknowledgeWildcards } from './acknowledge-wildcards.js';
import {
  type ControlPlaneAttributes,
  ControlPlaneBase,
  type IControlPlane,
  ImportedControlPlane,
} from './control-plane-base.js';
import { PUSH_ACTIONS } from './ecr-actions.js';
import { allowServices, allowTasks } from './ecs-rights.js';
import { type CfnOverrides, overrideCfn } from './cfn-overrides.js';
import type { IContainerCluster } from './container-cluster-base.js';
import { generatedSecret } from './generated-secret.js';
import type { IImageBuilder } from './image-builder.js';
import type { IImageStore } from './image-store.js';
import { ownMetric } from './metrics.js';
import { WharfFunction } from './wharf-function.js';
import { refusedProp } from './refused-prop.js';

export interface ControlPlaneProps {
  readonly store: IImageStore;
  readonly builder: IImageBuilder;
  readonly capacity: IContainerCluster;
  /** How often unfinished deployments go on and lost events are healed. @default Duration.minutes(1) */
  readonly sweepInterval?: Duration;
  /** First part of the names of the ECR repositories that images are copied to. @default wharf */
  readonly mirrorPrefix?: string;
  /** What `api` writes. @default - a new log group, kept for a month, gone with the stack */
  readonly apiLogs?: ILogGroup;
  /** What `registry` writes. @default - a new log group, kept for a month, gone with the stack */
  readonly registryLogs?: ILogGroup;
  /** What `reconciler` writes. @default - a new log group, kept for a month, gone with the stack */
  readonly reconcilerLogs?: ILogGroup;
  /** What containers write. @default - a new log group, kept for a month, gone with the stack */
  readonly taskLogs?: LogGroup;
  /** 43 letters and digits or more. @default - a new secret, made when something asks for it, gone with the stack */
  readonly deployToken?: ISecret;
  /** For `api`, `registry`, `reconciler`, `events`, `eventDeadLetters`, `executionRole` and `taskLogs`. @default - none */
  readonly cfnOverrides?: CfnOverrides;
}

/** @example new ControlPlane(stack, 'ControlPlane', { store, builder, capacity }) */
export class ControlPlane extends ControlPlaneBase {
  /** A control plane that another stack, or another app, made. */
  static fromControlPlaneAttributes(scope: Construct, id: string, attributes: ControlPlaneAttributes): IControlPlane {
    return new ImportedControlPlane(scope, id, attributes);
  }

  readonly store: IImageStore;
  readonly capacity: IContainerCluster;
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
  private token: ISecret | undefined;

  constructor(scope: Construct, id: string, props: ControlPlaneProps) {
    super(scope, id);
    const { store, builder, capacity, mirrorPrefix } = props;
    this.checkPrefix(mirrorPrefix);
    this.store = store;
    this.capacity = capacity;
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
      WHARF_MAX_INSTANCES: Tokenization.stringifyNumber(capacity.maxInstances),
      WHARF_CAPACITY_PROVIDER: capacity.capacityProviderName,
      WHARF_EXECUTION_ROLE_ARN: this.executionRole.roleArn,
      WHARF_TASK_LOG_GROUP: this.taskLogs.logGroupName,
      WHARF_MIRROR_PREFIX: this.mirrorPrefix,
    };
    this.api = new WharfFunction(this, 'Api', {
      entry: 'api',
      ...(props.apiLogs === undefined ? {} : { logGroup: props.apiLogs }),
      environment: {
        ...storeSettings,
        ...platformSettings,
        ...adminToken,
        WHARF_BUILD_QUEUE_URL: builder.queue.queueUrl,
      },
    });
    this.registry = new WharfFunction(this, 'Registry', {
      entry: 'registry',
      ...(props.registryLogs === undefined ? {} : { logGroup: props.registryLogs }),
      environment: { ...storeSettings, ...adminToken },
    });
    this.reconciler = new WharfFunction(this, 'Reconciler', {
      entry: 'reconciler',
      ...(props.reconcilerLogs === undefined ? {} : { logGroup: props.reconcilerLogs }),
      environment: { ...storeSettings, ...platformSettings },
      timeout: Duration.minutes(5),
    });
    for (const fn of [this.api, this.registry, this.reconciler]) store.grantReadWrite(fn.role);
    for (const fn of [this.api, this.registry]) store.adminToken.grantRead(fn.role);
    builder.grantBuild(this.api.role);
    for (const fn of [this.api, this.reconciler]) {
      allowServices(fn, capacity, this.executionRole);
      this.allowMirror(fn);
    }
    allowTasks(this.api, capacity);

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
    if (props.deployToken !== undefined) this.useDeployToken(props.deployToken);
    const { events, eventDeadLetters, executionRole, taskLogs } = this;
    const [api, registry, reconciler] = [this.api, this.registry, this.reconciler].map((fn) => fn.function);
    overrideCfn(
      this,
      { api, registry, reconciler, events, eventDeadLetters, executionRole, taskLogs },
      props.cfnOverrides,
    );
  }

  /**
   * An API token of the role `deploy`: builds, pushes, deploys, and nothing of tokens and clusters. Made when it is
   * first asked for.
   */
  get deployToken(): ISecret {
    if (this.token !== undefined) return this.token;
    const description = 'API token of those who may deploy to Wharf';
    return this.useDeployToken(
      generatedSecret(this, 'DeployToken', { description, removalPolicy: RemovalPolicy.DESTROY }),
    );
  }

  /** Requests that the API function died of; `registry` and `reconciler` have metrics of their own. */
  metricErrors(options?: MetricOptions): Metric {
    return this.api.metricErrors(options);
  }

  /** Milliseconds from what happened in ECS until the records say so, by the events that came. */
  metricReconcileLag(options?: MetricOptions): Metric {
    return ownMetric(this.reconciler, 'ReconcileLag', { statistic: Stats.percentile(99), ...options });
  }

  /** Tasks whose records the sweep had to correct: what events did not tell, or have not told yet. */
  metricDrift(options?: MetricOptions): Metric {
    return ownMetric(this.reconciler, 'Drift', { statistic: Stats.SUM, ...options });
  }

  /** Deployments and removals that were not finished at the last look. */
  metricUnfinishedWork(options?: MetricOptions): Metric {
    return ownMetric(this.reconciler, 'UnfinishedWork', { statistic: Stats.MAXIMUM, ...options });
  }

  /** Events that wait for the reconciler. */
  metricWaitingEvents(options?: MetricOptions): Metric {
    return this.events.metricApproximateNumberOfMessagesVisible(options);
  }

  /** Events that were given up after five tries, which somebody should look at. */
  metricEventDeadLetters(options?: MetricOptions): Metric {
    return this.eventDeadLetters.metricApproximateNumberOfMessagesVisible(options);
  }

  private checkPrefix(prefix: string | undefined): void {
    if (prefix === undefined || Token.isUnresolved(prefix) || isRepositoryName(prefix)) return;
    throw refusedProp(
      this.node.path,
      `mirrorPrefix ${JSON.stringify(prefix)}: lower-case letters and digits are wanted, as a repository of ECR begins: team or team/wharf`,
    );
  }

  private useDeployToken(token: ISecret): ISecret {
    this.token = token;
    this.api.function.addEnvironment('WHARF_DEPLOY_TOKEN_ARN', token.secretArn);
    token.grantRead(this.api.role);
    return token;
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

  private listen(capacity: IContainerCluster, sweepInterval: Duration): void {
    const target = new SqsQueue(this.events, { deadLetterQueue: this.eventDeadLetters });
    new Rule(this, 'EcsEvents', {
      description: 'State changes of this cluster, to the reconciler',
      eventPattern: { source: ['aws.ecs'], detail: { clusterArn: [capacity.clusterArn] } },
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
