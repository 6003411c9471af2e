/** All of Wharf in one construct: storage, capacity, builder, control plane and front door, each of them replaceable. */
import { CfnOutput } from 'aws-cdk-lib';
import type { ICertificate } from 'aws-cdk-lib/aws-certificatemanager';
import type { IGrantable } from 'aws-cdk-lib/aws-iam';
import type { IHostedZone } from 'aws-cdk-lib/aws-route53';
import { Construct } from 'constructs';
import { BuildWorker } from './build-worker.js';
import { ContainerCluster } from './container-cluster.js';
import type { IContainerCluster } from './container-cluster-base.js';
import { ControlPlane } from './control-plane.js';
import { Edge } from './edge.js';
import { ImageBuilder } from './image-builder.js';
import { ImageCollector } from './image-collector.js';
import { type IImageStore, ImageStore } from './image-store.js';

export interface WharfProps {
  /** @default - a new store, kept when the stack is deleted */
  readonly store?: IImageStore;
  /** @default - a new cluster that scales from zero to four t4g.small */
  readonly capacity?: IContainerCluster;
  /** Over the same store. @default - a new one, for the processor of the capacity, without Docker Hub */
  readonly builder?: ImageBuilder;
  /** A name of one's own for the HTTP API, as `wharf.example.org`. @default - the name that API Gateway gives */
  readonly domainName?: string;
  /** For that name, in the stack's own region. @default - none, with no name */
  readonly certificate?: ICertificate;
  /** Where that name is pointed at the API. @default - nowhere: that is done by whoever has the name */
  readonly hostedZone?: IHostedZone;
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
    this.store = props.store ?? new ImageStore(this, 'Store');
    this.capacity = props.capacity ?? new ContainerCluster(this, 'Capacity');
    this.builder =
      props.builder ?? new ImageBuilder(this, 'Builder', { store: this.store, platform: this.capacity.platform });
    if (this.builder.store !== this.store) {
      throw new Error(
        `${this.node.path}: the builder ${this.builder.node.path} has another store than the platform, ` +
          'which could not read its images: give both the same store',
      );
    }
    this.controlPlane = new ControlPlane(this, 'ControlPlane', {
      store: this.store,
      builder: this.builder,
      capacity: this.capacity,
    });
    this.workers = new BuildWorker(this, 'Workers', {
      store: this.store,
      builder: this.builder,
      capacity: this.capacity,
      controlPlane: this.controlPlane,
    });
    this.collector = new ImageCollector(this, 'Collector', { store: this.store });
    const { domainName, certificate, hostedZone } = props;
    this.edge = new Edge(this, 'Edge', {
      controlPlane: this.controlPlane,
      ...(domainName === undefined ? {} : { domainName }),
      ...(certificate === undefined ? {} : { certificate }),
      ...(hostedZone === undefined ? {} : { hostedZone }),
    });
    new CfnOutput(this, 'Url', { value: this.edge.url, description: 'Where the HTTP API answers' });
    new CfnOutput(this, 'AdminTokenSecret', {
      value: this.store.adminToken.secretArn,
      description: 'The secret that holds the first API token',
    });
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
