/**
 * The registry for clients that send layers in one piece, as `docker push` does: API Gateway and Lambda take a few
 * megabytes of a request, a container behind a load balancer takes any. The same registry on the same stores as the
 * function, as a service of ECS on the cluster's capacity; its image is built by Wharf while the stack is deployed.
 */
import { Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import type { ICertificate } from 'aws-cdk-lib/aws-certificatemanager';
import type { Metric, MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import type { IPeer } from 'aws-cdk-lib/aws-ec2';
import {
  AwsLogDriverMode,
  type ContainerImage,
  type ICluster,
  Ec2Service,
  Ec2TaskDefinition,
  LogDrivers,
  NetworkMode,
  PlacementStrategy,
} from 'aws-cdk-lib/aws-ecs';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import {
  type ApplicationLoadBalancer,
  type ApplicationTargetGroup,
  HttpCodeTarget,
} from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { IHostedZone } from 'aws-cdk-lib/aws-route53';
import type { IBucket } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import { acknowledgeWildcards, STORED_OBJECTS } from './acknowledge-wildcards.js';
import { type CfnOverrides, overrideCfn } from './cfn-overrides.js';
import type { IContainerCluster } from './container-cluster-base.js';
import type { DockerfileImage } from './dockerfile-image.js';
import type { IImageBuilder } from './image-builder.js';
import type { IImageStore } from './image-store.js';
import { RegistryBalancer } from './registry-balancer.js';
import { registryFrontImage } from './registry-front-image.js';
import { checkHeeded, checkWhole, refusedProp } from './refused-prop.js';

export interface RegistryFrontProps {
  readonly store: IImageStore;
  /** Makes the front's own image. */
  readonly builder: IImageBuilder;
  /** Runs it. Its network is the load balancer's too. */
  readonly capacity: IContainerCluster;
  /** For `domainName`, in the stack's own region. @default - none, with `plainHttp` */
  readonly certificate?: ICertificate;
  /** What clients call the registry, as `registry.example.org`. @default - the load balancer's own name, with `plainHttp` */
  readonly domainName?: string;
  /** Where `domainName` is pointed at the load balancer. @default - nowhere: that is done by whoever has the name */
  readonly hostedZone?: IHostedZone;
  /** No TLS: tokens pass in the clear, and clients have to be told that it is an insecure registry. @default false */
  readonly plainHttp?: boolean;
  /** Whether the load balancer has addresses of the internet. @default true */
  readonly internetFacing?: boolean;
  /** Who may connect. @default - anybody, with `internetFacing`; the network's own addresses without */
  readonly clients?: IPeer[];
  /** Containers that run. @default 1 */
  readonly count?: number;
  /** ECS CPU units. @default 256 */
  readonly cpu?: number;
  /** MiB, a hard limit; a push holds a part or two of 8 at first. @default 512 */
  readonly memoryMiB?: number;
  /** How long pushes under way may take when a container is replaced. @default Duration.minutes(5) */
  readonly drain?: Duration;
  /** @default - an image that `builder` makes */
  readonly image?: ContainerImage;
  /** What that image is made on: with Node 22 or newer at `/usr/local/bin/node`, and a user `node`. @default public.ecr.aws/docker/library/node:24-alpine */
  readonly baseImage?: string;
  /** What it writes. @default - a new log group, kept for a month, gone with the stack */
  readonly logGroup?: LogGroup;
  /** What the load balancer writes; encrypted by S3's own key, which is all that it can do. @default - a new bucket, emptied after 90 days, gone with the stack */
  readonly accessLogs?: IBucket;
  /** For `loadBalancer`, `listener`, `targetGroup`, `service`, `taskDefinition`, `taskRole` and `logGroup`. @default - none */
  readonly cfnOverrides?: CfnOverrides;
}

const PORT = 8080;
/** A program of Node and one push. */
const MIN_MEMORY_MIB = 128;
/** What ECS gives it after SIGTERM; its target is drained before that. */
const STOP = Duration.seconds(120);

/** @example new RegistryFront(stack, 'Registry', { store, builder, capacity, certificate, domainName: 'registry.example.org' }) */
export class RegistryFront extends Construct {
  /** Where clients reach it, without a final slash. */
  readonly url: string;
  readonly balancer: RegistryBalancer;
  readonly service: Ec2Service;
  readonly taskDefinition: Ec2TaskDefinition;
  /** What it may do: read and write images and records, and read the first token. */
  readonly taskRole: Role;
  readonly logGroup: LogGroup;
  /** Undefined with an image of one's own. */
  readonly image: DockerfileImage | undefined;

  /** @throws Error for a certificate without a name, neither TLS nor `plainHttp`, or instances whose firewall is not known */
  constructor(scope: Construct, id: string, props: RegistryFrontProps) {
    super(scope, id);
    this.check(props);
    checkWhole(this.node.path, { count: props.count }, 0);
    checkWhole(this.node.path, { cpu: props.cpu }, 1);
    checkWhole(this.node.path, { memoryMiB: props.memoryMiB }, MIN_MEMORY_MIB);
    if (props.image !== undefined) checkHeeded(this.node.path, 'image', { baseImage: props.baseImage });
    const { cluster, vpc } = props.capacity.openForServices();
    this.logGroup =
      props.logGroup ??
      new LogGroup(this, 'Logs', { retention: RetentionDays.ONE_MONTH, removalPolicy: RemovalPolicy.DESTROY });
    this.taskRole = this.createRole(props.store);
    this.balancer = new RegistryBalancer(this, 'Balancer', { ...props, vpc, port: PORT });
    this.url = this.balancer.url;
    this.image = props.image === undefined ? this.buildImage(props) : undefined;
    this.taskDefinition = this.createTask(props, props.image ?? this.image?.asContainerImage());
    this.service = this.createService(props, cluster);
    this.balancer.targetGroup.addTarget(this.service);
    const { loadBalancer, listener, targetGroup } = this.balancer;
    const { service, taskDefinition, taskRole, logGroup } = this;
    overrideCfn(
      this,
      { loadBalancer, listener, targetGroup, service, taskDefinition, taskRole, logGroup },
      props.cfnOverrides,
    );
  }

  get loadBalancer(): ApplicationLoadBalancer {
    return this.balancer.loadBalancer;
  }

  get targetGroup(): ApplicationTargetGroup {
    return this.balancer.targetGroup;
  }

  metricRequests(options?: MetricOptions): Metric {
    return this.targetGroup.metrics.requestCount(options);
  }

  /** Requests that the front failed at. */
  metricErrors(options?: MetricOptions): Metric {
    return this.targetGroup.metrics.httpCodeTarget(HttpCodeTarget.TARGET_5XX_COUNT, options);
  }

  /** Containers that answer. */
  metricHealthyContainers(options?: MetricOptions): Metric {
    return this.targetGroup.metrics.healthyHostCount(options);
  }

  private check({ certificate, domainName, hostedZone, plainHttp = false }: RegistryFrontProps): void {
    const refuse = (why: string): never => {
      throw refusedProp(this.node.path, why);
    };
    if (certificate === undefined && !plainHttp) {
      refuse(
        'a certificate and the domainName it is for are wanted, or plainHttp: true where tokens may pass in the clear',
      );
    }
    if (certificate !== undefined && plainHttp)
      refuse('a certificate is given and plainHttp asked for: one of the two');
    if (certificate !== undefined && domainName === undefined) {
      refuse(
        'the certificate is for a name, which domainName says: no client trusts it for the name of the load balancer',
      );
    }
    if (hostedZone !== undefined && domainName === undefined)
      refuse('hostedZone is for a domainName, and there is none');
  }

  private createRole(store: IImageStore): Role {
    const role = new Role(this, 'TaskRole', {
      assumedBy: new ServicePrincipal('ecs-tasks.amazonaws.com'),
      description: `Wharf registry front in ${Stack.of(this).stackName}`,
    });
    store.grantReadWrite(role);
    store.adminToken.grantRead(role);
    acknowledgeWildcards(role, [STORED_OBJECTS]);
    return role;
  }

  private buildImage({ builder, capacity, baseImage }: RegistryFrontProps): DockerfileImage {
    const base = baseImage === undefined ? {} : { baseImage };
    return registryFrontImage(this, 'Image', { builder, platform: capacity.platform, ...base });
  }

  private createTask(props: RegistryFrontProps, image: ContainerImage | undefined): Ec2TaskDefinition {
    if (image === undefined) throw refusedProp(this.node.path, `there is no image`);
    const { store } = props;
    const task = new Ec2TaskDefinition(this, 'Task', { networkMode: NetworkMode.BRIDGE, taskRole: this.taskRole });
    task.addContainer('registry', {
      image,
      cpu: props.cpu ?? 256,
      memoryLimitMiB: props.memoryMiB ?? 512,
      portMappings: [{ containerPort: PORT }],
      environment: {
        AWS_REGION: Stack.of(this).region,
        PORT: String(PORT),
        WHARF_TABLE: store.table.tableName,
        WHARF_BUCKET: store.bucket.bucketName,
        WHARF_SEALING_KEY_ARN: store.sealingKey.secretArn,
        WHARF_ADMIN_TOKEN_ARN: store.adminToken.secretArn,
        WHARF_PUBLIC_URL: this.url,
        WHARF_DRAIN_SECONDS: String(STOP.toSeconds() - 10),
      },
      readonlyRootFilesystem: true,
      stopTimeout: STOP,
      logging: LogDrivers.awsLogs({
        logGroup: this.logGroup,
        streamPrefix: 'registry',
        mode: AwsLogDriverMode.NON_BLOCKING,
      }),
    });
    Validations.of(task).acknowledge({
      id: 'AwsSolutions-ECS2',
      reason: 'Names and ARNs; the front reads the secrets behind them by its own role.',
    });
    acknowledgeWildcards(task, [
      { finding: /^Resource::\*$/, reason: 'ecr:GetAuthorizationToken has no resource.' },
      { finding: /^Resource::.*Logs.*:\*$/, reason: 'The log streams of its own log group.' },
    ]);
    return task;
  }

  private createService({ capacity, count = 1 }: RegistryFrontProps, cluster: ICluster): Ec2Service {
    const service = new Ec2Service(this, 'Service', {
      cluster,
      taskDefinition: this.taskDefinition,
      desiredCount: count,
      minHealthyPercent: 100,
      maxHealthyPercent: 200,
      circuitBreaker: { rollback: true },
      capacityProviderStrategies: [{ capacityProvider: capacity.capacityProviderName, weight: 1 }],
      placementStrategies: [
        PlacementStrategy.spreadAcross('attribute:ecs.availability-zone'),
        PlacementStrategy.packedByMemory(),
      ],
      healthCheckGracePeriod: Duration.minutes(1),
      enableECSManagedTags: true,
    });
    // The provider has to be on the cluster before the service asks for it, and its instances gone after it.
    service.node.addDependency(capacity);
    service.node.addDependency(this.balancer.listener);
    return service;
  }
}
