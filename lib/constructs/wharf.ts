/** All of Wharf in one construct: storage, capacity, builder, control plane and front door, each of them replaceable. */
import { CfnOutput } from 'aws-cdk-lib';
import type { ICertificate } from 'aws-cdk-lib/aws-certificatemanager';
import type { IGrantable } from 'aws-cdk-lib/aws-iam';
import type { ILogGroup, LogGroup } from 'aws-cdk-lib/aws-logs';
import type { IHostedZone } from 'aws-cdk-lib/aws-route53';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { BuildWorker } from './build-worker.js';
import type { BuilderSourcePolicy } from './builder-source-policy.js';
import { type CfnOverrides, overrideCfn } from './cfn-overrides.js';
import { ContainerCluster } from './container-cluster.js';
import type { IContainerCluster } from './container-cluster-base.js';
import { ControlPlane } from './control-plane.js';
import { Edge } from './edge.js';
import { ImageBuilder } from './image-builder.js';
import { ImageCollector } from './image-collector.js';
import { type IImageStore, ImageStore } from './image-store.js';
import { checkHeeded, refusedProp } from './refused-prop.js';

export interface WharfProps {
  /** @default - a new store, kept when the stack is deleted */
  readonly store?: IImageStore;
  /** @default - a new cluster that scales from zero to four t4g.small */
  readonly capacity?: IContainerCluster;
  /** Over the same store. @default - a new one, for the processor of the capacity, without Docker Hub */
  readonly builder?: ImageBuilder;
  /** Without `builder`: rules for the sources of all builds, BuildKit's JSON as an object. @default - none */
  readonly sourcePolicy?: BuilderSourcePolicy;
  /** What build workers are made of while the stack is deployed. @default - none: their image is made by `npm run worker-image` */
  readonly workerBaseImage?: string;
  /** First part of the names of the ECR repositories that images are copied to; a second platform of an account wants another. @default wharf */
  readonly mirrorPrefix?: string;
  /** 43 letters and digits or more; what those show who may deploy. @default - a new secret, made when something asks for it */
  readonly deployToken?: ISecret;
  /** What `api` writes. @default - a new log group, as all of these: kept for a month, gone with the stack */
  readonly apiLogs?: ILogGroup;
  /** What `registry` writes. @default - a new log group */
  readonly registryLogs?: ILogGroup;
  /** What `reconciler` writes. @default - a new log group */
  readonly reconcilerLogs?: ILogGroup;
  /** Without `builder`: what it writes. @default - a new log group */
  readonly builderLogs?: ILogGroup;
  /** What `collector` writes. @default - a new log group */
  readonly collectorLogs?: ILogGroup;
  /** What containers write. @default - a new log group */
  readonly taskLogs?: LogGroup;
  /** What build workers write. @default - a new log group */
  readonly workerLogs?: LogGroup;
  /** What is written of each request. @default - a new log group */
  readonly accessLogs?: LogGroup;
  /** A name of one's own for the HTTP API, as `wharf.example.org`. @default - the name that API Gateway gives */
  readonly domainName?: string;
  /** For that name, in the stack's own region. @default - none, with no name */
  readonly certificate?: ICertificate;
  /** Where that name is pointed at the API. @default - nowhere: that is done by whoever has the name */
  readonly hostedZone?: IHostedZone;
  /** For the parts that are made here alone: `api`, `registry`, `reconciler`, `collector`, `executionRole`, `workerRole` and `httpApi`. @default - none */
  readonly cfnOverrides?: CfnOverrides;
}

/**
 * @example
 * const wharf = new Wharf(stack, 'Wharf');
 * wharf.builder.grantBuild(pipelineRole);
 */
export class Wharf extends Construct {
  readonly store: IImageStore;
  readonly capacity: IContainerCluster;
  readonly builder: ImageBuilder;
  readonly controlPlane: ControlPlane;
  /** Where builds go on that have a RUN to run. */
  readonly workers: BuildWorker;
  readonly collector: ImageCollector;
  readonly edge: Edge;

  /** @throws Error for a builder with another store, and what Edge throws of names and certificates */
  constructor(scope: Construct, id: string, props: WharfProps = {}) {
    super(scope, id);
    const { sourcePolicy, builderLogs } = props;
    if (props.builder !== undefined) checkHeeded(this.node.path, 'builder', { sourcePolicy, builderLogs });
    this.store = props.store ?? new ImageStore(this, 'Store');
    this.capacity = props.capacity ?? new ContainerCluster(this, 'Capacity');
    this.builder = props.builder ?? this.createBuilder(props);
    if (this.builder.store !== this.store) {
      throw refusedProp(
        this.node.path,
        `the builder ${this.builder.node.path} has another store than the platform, ` +
          'which could not read its images: give both the same store',
      );
    }
    this.controlPlane = new ControlPlane(this, 'ControlPlane', {
      store: this.store,
      builder: this.builder,
      capacity: this.capacity,
      ...given(props, 'mirrorPrefix', 'apiLogs', 'registryLogs', 'reconcilerLogs', 'taskLogs', 'deployToken'),
    });
    this.workers = new BuildWorker(this, 'Workers', {
      store: this.store,
      builder: this.builder,
      capacity: this.capacity,
      controlPlane: this.controlPlane,
      ...(props.workerLogs === undefined ? {} : { logGroup: props.workerLogs }),
      ...(props.workerBaseImage === undefined ? {} : { baseImage: props.workerBaseImage }),
    });
    this.collector = new ImageCollector(this, 'Collector', {
      store: this.store,
      ...(props.collectorLogs === undefined ? {} : { logGroup: props.collectorLogs }),
    });
    this.edge = new Edge(this, 'Edge', {
      controlPlane: this.controlPlane,
      ...given(props, 'domainName', 'certificate', 'hostedZone', 'accessLogs'),
    });
    this.override(props.cfnOverrides);
    new CfnOutput(this, 'Url', { value: this.edge.url, description: 'Where the HTTP API answers' });
    new CfnOutput(this, 'AdminTokenSecret', {
      value: this.store.adminToken.secretArn,
      description: 'The secret that holds the first API token',
    });
  }

  private createBuilder(props: WharfProps): ImageBuilder {
    const { builderLogs } = props;
    return new ImageBuilder(this, 'Builder', {
      store: this.store,
      platform: this.capacity.platform,
      ...(builderLogs === undefined ? {} : { logGroup: builderLogs }),
      ...given(props, 'sourcePolicy'),
    });
  }

  private override(overrides: CfnOverrides | undefined): void {
    const { executionRole } = this.controlPlane;
    const { api: httpApi } = this.edge;
    const { role: workerRole } = this.workers;
    const functions = [this.controlPlane.api, this.controlPlane.registry, this.controlPlane.reconciler];
    const [api, registry, reconciler, collector] = [...functions, this.collector.function].map((fn) => fn.function);
    overrideCfn(this, { api, registry, reconciler, collector, executionRole, workerRole, httpApi }, overrides);
  }

  /** Lets the grantee build by itself, without the HTTP API: images, records and the queue. */
  grantBuild(grantee: IGrantable): void {
    this.builder.grantBuild(grantee);
  }

  /** Lets the grantee deploy, push and pull over the HTTP API: it may read the token that the API wants to see. */
  grantDeploy(grantee: IGrantable): void {
    this.controlPlane.grantDeploy(grantee);
  }

  /** Lets the grantee pull from ECR what was deployed. */
  grantPull(grantee: IGrantable): void {
    this.controlPlane.grantPull(grantee);
  }
}

/** Those of the props that were given: what is absent stays absent. */
function given<K extends keyof WharfProps>(props: WharfProps, ...names: readonly K[]): Pick<WharfProps, K> {
  const entries = names.filter((name) => props[name] !== undefined).map((name) => [name, props[name]]);
  return Object.fromEntries(entries) as Pick<WharfProps, K>;
}
