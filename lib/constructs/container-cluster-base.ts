/** A cluster as the other constructs see it, made here or imported: what its instances are, and what ECS counts of them. */
import { Stack } from 'aws-cdk-lib';
import { Metric, type MetricOptions, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import type { ISecurityGroup, IVpc } from 'aws-cdk-lib/aws-ec2';
import { Cluster, type ICluster } from 'aws-cdk-lib/aws-ecs';
import { Construct, type IConstruct } from 'constructs';
import { checkPlatform, checkWhole, refusedProp } from './refused-prop.js';

/** A cluster with capacity that is there already. */
export interface ContainerClusterAttributes {
  readonly clusterName: string;
  /** On the cluster. */
  readonly capacityProviderName: string;
  /** As `linux/arm64`. */
  readonly platform: string;
  readonly maxInstances: number;
  /** Of the instances; only `RegistryFront` asks for it. @default - unknown */
  readonly vpc?: IVpc;
  /** Of the instances; only `RegistryFront` asks for it. @default - unknown */
  readonly securityGroup?: ISecurityGroup;
}

/** What the other constructs need of a cluster, made here or imported. */
export interface IContainerCluster extends IConstruct {
  readonly clusterName: string;
  readonly clusterArn: string;
  readonly maxInstances: number;
  /** What images must be built for, as `linux/arm64`. */
  readonly platform: string;
  readonly capacityProviderName: string;
  /** For services that stand on it beside the platform's own. @throws Error when imported without network and firewall */
  openForServices(): { readonly cluster: ICluster; readonly vpc: IVpc };
  /** Tasks that run, of all services and of none. */
  metricRunningTasks(options?: MetricOptions): Metric;
  /** Instances that are registered. */
  metricInstances(options?: MetricOptions): Metric;
  /** How much of the capacity is asked for, in percent: above 100 instances are started. */
  metricCapacityReservation(options?: MetricOptions): Metric;
}

export abstract class ContainerClusterBase extends Construct implements IContainerCluster {
  abstract readonly clusterName: string;
  abstract readonly clusterArn: string;
  abstract readonly maxInstances: number;
  abstract readonly platform: string;
  abstract readonly capacityProviderName: string;
  abstract openForServices(): { readonly cluster: ICluster; readonly vpc: IVpc };

  metricRunningTasks(options?: MetricOptions): Metric {
    return this.insight('TaskCount', Stats.AVERAGE, options);
  }

  metricInstances(options?: MetricOptions): Metric {
    return this.insight('ContainerInstanceCount', Stats.AVERAGE, options);
  }

  metricCapacityReservation(options?: MetricOptions): Metric {
    return new Metric({
      namespace: 'AWS/ECS/ManagedScaling',
      metricName: 'CapacityProviderReservation',
      dimensionsMap: { ClusterName: this.clusterName, CapacityProviderName: this.capacityProviderName },
      statistic: Stats.MAXIMUM,
      ...options,
    });
  }

  private insight(metricName: string, statistic: string, options?: MetricOptions): Metric {
    const dimensionsMap = { ClusterName: this.clusterName };
    return new Metric({ namespace: 'ECS/ContainerInsights', metricName, dimensionsMap, statistic, ...options });
  }
}

export class ImportedContainerCluster extends ContainerClusterBase {
  readonly clusterName: string;
  readonly clusterArn: string;
  readonly maxInstances: number;
  readonly platform: string;
  readonly capacityProviderName: string;

  constructor(
    scope: Construct,
    id: string,
    private readonly attributes: ContainerClusterAttributes,
  ) {
    super(scope, id);
    checkPlatform(this.node.path, attributes.platform);
    checkWhole(this.node.path, { maxInstances: attributes.maxInstances }, 1);
    this.clusterName = attributes.clusterName;
    this.clusterArn = Stack.of(this).formatArn({ service: 'ecs', resource: 'cluster', resourceName: this.clusterName });
    this.maxInstances = attributes.maxInstances;
    this.platform = attributes.platform;
    this.capacityProviderName = attributes.capacityProviderName;
  }

  openForServices(): { readonly cluster: ICluster; readonly vpc: IVpc } {
    const { clusterName, vpc, securityGroup } = this.attributes;
    if (vpc === undefined || securityGroup === undefined) {
      throw refusedProp(
        this.node.path,
        `was imported without its vpc and the securityGroup of its instances: give both`,
      );
    }
    const found = this.node.tryFindChild('Cluster') as ICluster | undefined;
    const made = (): ICluster =>
      Cluster.fromClusterAttributes(this, 'Cluster', {
        clusterName,
        clusterArn: this.clusterArn,
        vpc,
        securityGroups: [securityGroup],
        hasEc2Capacity: true,
      });
    return { cluster: found ?? made(), vpc };
  }
}
