/** All of Wharf in one construct: storage, capacity, builder, control plane and front door, each of them replaceable. */
import { CfnOutput } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { BuildWorker } from './build-worker.js';
import { ContainerCluster } from './container-cluster.js';
import { ControlPlane } from './control-plane.js';
import { Edge } from './edge.js';
import { ImageBuilder } from './image-builder.js';
import { ImageCollector } from './image-collector.js';
import { ImageStore } from './image-store.js';

export interface WharfProps {
  /** @default - a new store, kept when the stack is deleted */
  readonly store?: ImageStore;
  /** @default - a new cluster that scales from zero to four t4g.small */
  readonly capacity?: ContainerCluster;
}

/**
 * @example
 * const wharf = new Wharf(stack, 'Wharf');
 * wharf.builder.grantBuild(pipelineRole);
 */
export class Wharf extends Construct {
  readonly store: ImageStore;
  readonly capacity: ContainerCluster;
  readonly builder: ImageBuilder;
  readonly controlPlane: ControlPlane;
  /** Where builds go on that have a RUN to run. */
  readonly workers: BuildWorker;
  readonly collector: ImageCollector;
  readonly edge: Edge;

  constructor(scope: Construct, id: string, props: WharfProps = {}) {
    super(scope, id);
    this.store = props.store ?? new ImageStore(this, 'Store');
    this.capacity = props.capacity ?? new ContainerCluster(this, 'Capacity');
    this.builder = new ImageBuilder(this, 'Builder', { store: this.store, platform: this.capacity.platform });
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
    this.edge = new Edge(this, 'Edge', { controlPlane: this.controlPlane });
    new CfnOutput(this, 'Url', { value: this.edge.api.apiEndpoint, description: 'Where the HTTP API answers' });
    new CfnOutput(this, 'AdminTokenSecret', {
      value: this.store.adminToken.secretArn,
      description: 'The secret that holds the first API token',
    });
  }
}
