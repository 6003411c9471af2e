/**
 * Where builds go on that need a container: a task for each, on the cluster's own capacity, which starts from none. The
 * builder function starts them; this gives it the rights, and the tasks a role, a log group and an image's name.
 */
import { Duration, RemovalPolicy, Stack, Token, Tokenization } from 'aws-cdk-lib';
import { Metric, type MetricOptions, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import { EventField, Rule, RuleTargetInput, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction, SqsQueue } from 'aws-cdk-lib/aws-events-targets';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { acknowledgeWildcards, STORED_OBJECTS } from './acknowledge-wildcards.js';
import { buildWorkerImage } from './build-worker-image.js';
import { type CfnOverrides, overrideCfn } from './cfn-overrides.js';
import type { IContainerCluster } from './container-cluster-base.js';
import type { ControlPlane } from './control-plane.js';
import type { DockerfileImage } from './dockerfile-image.js';
import type { ImageBuilder } from './image-builder.js';
import type { IImageStore } from './image-store.js';
import { checkWhole, refusedProp } from './refused-prop.js';

export interface BuildWorkerProps {
  readonly store: IImageStore;
  readonly builder: ImageBuilder;
  readonly capacity: IContainerCluster;
  /** Lets the builder copy the worker image to ECR, and the task pull it. */
  readonly controlPlane: ControlPlane;
  /** `repository:tag` in Wharf's own registry; made by `npm run worker-image`. @default build-worker:1 */
  readonly image?: string;
  /** Instead of `image`: what the worker's bundle is copied over while the stack is deployed. @default - nothing is made */
  readonly baseImage?: string;
  /** ECS CPU units, 1 or more. @default 1024 */
  readonly cpu?: number;
  /** MiB, a hard limit; what is left of a t4g.small is about 1,900. @default 1536 */
  readonly memoryMiB?: number;
  /** How often the builder looks after workers and lost messages. @default Duration.minutes(1) */
  readonly sweepInterval?: Duration;
  /** What workers write. @default - a new log group, kept for a month, gone with the stack */
  readonly logGroup?: LogGroup;
  /** For `role` and `logGroup`. @default - none */
  readonly cfnOverrides?: CfnOverrides;
}

/** What ECS asks for at least. */
const MIN_MEMORY_MIB = 6;

export class BuildWorker extends Construct {
  /** What a worker may do: read and write images and records. */
  readonly role: Role;
  readonly logGroup: LogGroup;
  /** What is made over `baseImage`. Where an image of the same stack has a RUN, let its `resource` depend on that of this one. */
  readonly image: DockerfileImage | undefined;
  private readonly clusterName: string;

  /** @throws Error for an image and a base, and for a base that is no name */
  constructor(scope: Construct, id: string, props: BuildWorkerProps) {
    super(scope, id);
    const { store, builder, capacity, controlPlane } = props;
    this.clusterName = capacity.clusterName;
    checkWhole(this.node.path, { cpu: props.cpu }, 1);
    checkWhole(this.node.path, { memoryMiB: props.memoryMiB }, MIN_MEMORY_MIB);
    this.checkProcessor(props);
    this.image = this.imageOver(props);
    this.logGroup =
      props.logGroup ??
      new LogGroup(this, 'Logs', { retention: RetentionDays.ONE_MONTH, removalPolicy: RemovalPolicy.DESTROY });
    this.logGroup.grantWrite(controlPlane.executionRole);
    this.role = new Role(this, 'Role', {
      assumedBy: new ServicePrincipal('ecs-tasks.amazonaws.com'),
      description: `Wharf build workers in ${Stack.of(this).stackName}`,
    });
    store.grantReadWrite(this.role);
    acknowledgeWildcards(this.role, [STORED_OBJECTS]);
    const settings = {
      WHARF_CLUSTER: capacity.clusterName,
      WHARF_CAPACITY_PROVIDER: capacity.capacityProviderName,
      WHARF_EXECUTION_ROLE_ARN: controlPlane.executionRole.roleArn,
      WHARF_TASK_LOG_GROUP: this.logGroup.logGroupName,
      WHARF_MIRROR_PREFIX: controlPlane.mirrorPrefix,
      // As lib/host/aws/worker-image.ts reads it. No digest: the builder would wait for what it is to build.
      WHARF_WORKER_IMAGE:
        this.image === undefined ? (props.image ?? 'build-worker:1') : `${this.image.sourceRepository}:*`,
      WHARF_WORKER_ROLE_ARN: this.role.roleArn,
      WHARF_WORKER_CPU: Tokenization.stringifyNumber(props.cpu ?? 1024),
      WHARF_WORKER_MEMORY: Tokenization.stringifyNumber(props.memoryMiB ?? 1536),
    };
    for (const [name, value] of Object.entries(settings)) builder.function.function.addEnvironment(name, value);
    this.allow(builder, capacity, controlPlane);
    this.listen(builder, capacity, props.sweepInterval ?? Duration.minutes(1));
    overrideCfn(this, { role: this.role, logGroup: this.logGroup }, props.cfnOverrides);
  }

  /** A RUN of a build for another processor would be a program that its machine cannot run. */
  private checkProcessor({ builder, capacity }: BuildWorkerProps): void {
    const [builds, runs] = [builder.platform, capacity.platform];
    if (builds === runs || [builds, runs].some((each) => Token.isUnresolved(each))) return;
    throw refusedProp(
      this.node.path,
      `the builder ${builder.node.path} builds for ${builds}, and the instances of ${capacity.node.path} are ${runs}: give the builder platform: '${runs}'`,
    );
  }

  private imageOver({ image, baseImage, builder, capacity }: BuildWorkerProps): DockerfileImage | undefined {
    if (baseImage === undefined) return undefined;
    if (image !== undefined) {
      throw refusedProp(
        this.node.path,
        `image ${image} is given and baseImage ${baseImage} as well: one of the two, an image that was made or a base to make it of`,
      );
    }
    return buildWorkerImage(this, 'Image', { builder, platform: capacity.platform, baseImage });
  }

  private allow(builder: ImageBuilder, capacity: IContainerCluster, controlPlane: ControlPlane): void {
    const { clusterArn } = capacity;
    const inCluster = { ArnEquals: { 'ecs:cluster': clusterArn } };
    const arn = (resource: string, resourceName: string): string =>
      Stack.of(this).formatArn({ service: 'ecs', resource, resourceName });
    const fn = builder.function;
    fn.allow(['ecs:RunTask'], [arn('task-definition', `${capacity.clusterName}--build-worker:*`)], inCluster);
    fn.allow(['ecs:DescribeTasks', 'ecs:StopTask'], [arn('task', `${capacity.clusterName}/*`)], inCluster);
    fn.allow(['ecs:DescribeTaskDefinition', 'ecs:RegisterTaskDefinition'], ['*']);
    fn.allow(['iam:PassRole'], [this.role.roleArn, controlPlane.executionRole.roleArn], {
      StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' },
    });
    controlPlane.allowMirror(fn);
  }

  private listen(builder: ImageBuilder, capacity: IContainerCluster, sweepInterval: Duration): void {
    new Rule(this, 'Stopped', {
      description: 'A worker stopped: the builder looks whether its build is done',
      eventPattern: {
        source: ['aws.ecs'],
        detailType: ['ECS Task State Change'],
        detail: {
          clusterArn: [capacity.clusterArn],
          lastStatus: ['STOPPED'],
          group: [`family:${capacity.clusterName}--build-worker`],
        },
      },
      targets: [
        new SqsQueue(builder.queue, {
          deadLetterQueue: builder.deadLetters,
          message: RuleTargetInput.fromObject({ build: EventField.fromPath('$.detail.startedBy') }),
        }),
      ],
    });
    new Rule(this, 'Sweep', {
      description: 'Looks after builds that no message tells about',
      schedule: Schedule.rate(sweepInterval),
      targets: [new LambdaFunction(builder.function.function)],
    });
  }

  /** MiB that workers used at most: what `memoryMiB` has to be above. By Container Insights of the cluster. */
  metricMemoryUsed(options?: MetricOptions): Metric {
    return new Metric({
      namespace: 'ECS/ContainerInsights',
      metricName: 'MemoryUtilized',
      dimensionsMap: { ClusterName: this.clusterName, TaskDefinitionFamily: `${this.clusterName}--build-worker` },
      statistic: Stats.MAXIMUM,
      ...options,
    });
  }
}
