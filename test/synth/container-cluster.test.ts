/** Kinds of capacity in templates, and the order in which they go. */
import { describe, expect, test } from '@jest/globals';
import type { Stack } from 'aws-cdk-lib';
import { Match, type Template } from 'aws-cdk-lib/assertions';
import { InstanceType } from 'aws-cdk-lib/aws-ec2';
import { Capacity, ContainerCluster, type ContainerClusterProps } from '../../lib/constructs/index.js';
import { ofType, onlyOf, testStack } from './unbundled.js';

const GROUP = 'AWS::AutoScaling::AutoScalingGroup';
const ASSOCIATION = 'AWS::ECS::ClusterCapacityProviderAssociations';

function clusterIn(stack: Stack, props: ContainerClusterProps = {}): ContainerCluster {
  return new ContainerCluster(stack, 'Cluster', props);
}

function made(props: ContainerClusterProps = {}): Template {
  const { stack, template } = testStack({ nag: true });
  clusterIn(stack, props);
  return template();
}

describe('capacity of a cluster', () => {
  test('is on demand unless it says otherwise, from zero to four', () => {
    made().hasResourceProperties(GROUP, {
      MinSize: '0',
      MaxSize: '4',
      NewInstancesProtectedFromScaleIn: true,
      MixedInstancesPolicy: Match.absent(),
    });
  });

  test('of Spot has four types or more, bought where most are spare, and drains before it is taken away', () => {
    const template = made({ capacity: Capacity.spot({ maxInstances: 10 }) });
    const { MixedInstancesPolicy: policy } = onlyOf(template, GROUP) as {
      MixedInstancesPolicy: {
        InstancesDistribution: object;
        LaunchTemplate: { Overrides: readonly { InstanceType: string }[] };
      };
    };
    expect(policy.InstancesDistribution).toEqual({
      OnDemandBaseCapacity: 0,
      OnDemandPercentageAboveBaseCapacity: 0,
      SpotAllocationStrategy: 'price-capacity-optimized',
    });
    expect(policy.LaunchTemplate.Overrides.length).toBeGreaterThanOrEqual(4);
    expect(JSON.stringify(ofType(template, 'AWS::EC2::LaunchTemplate'))).toContain(
      'ECS_ENABLE_SPOT_INSTANCE_DRAINING=true',
    );
  });

  test('mixed has its share on demand', () => {
    made({ capacity: Capacity.mixed({ onDemandInstances: 2, onDemandPercent: 25 }) }).hasResourceProperties(GROUP, {
      MixedInstancesPolicy: {
        InstancesDistribution: Match.objectLike({ OnDemandBaseCapacity: 2, OnDemandPercentageAboveBaseCapacity: 25 }),
      },
    });
  });

  test('imported makes nothing but the strategy', () => {
    const capacity = Capacity.imported({
      capacityProviderName: 'theirs',
      platform: 'linux/amd64',
      maxInstances: 20,
    });
    const template = made({ capacity });
    template.resourceCountIs(GROUP, 0);
    template.hasResourceProperties(ASSOCIATION, {
      CapacityProviders: ['theirs'],
      DefaultCapacityProviderStrategy: [{ CapacityProvider: 'theirs', Weight: 1 }],
    });
  });

  test('of any kind is the default of the cluster: a task without a strategy runs', () => {
    for (const capacity of [Capacity.onDemand(), Capacity.spot(), Capacity.mixed()]) {
      made({ capacity }).hasResourceProperties(ASSOCIATION, {
        DefaultCapacityProviderStrategy: [Match.objectLike({ Weight: 1 })],
      });
    }
  });

  test.each<[string, () => ContainerClusterProps, RegExp]>([
    [
      'Spot of three types',
      () => ({ capacity: Capacity.spot({ instanceTypes: types('m7g', 'm6g', 'c7g') }) }),
      /4 types/,
    ],
    [
      'two processors',
      () => ({ capacity: Capacity.spot({ instanceTypes: types('m7g', 'm6g', 'c7g', 'm7i') }) }),
      /two/,
    ],
    ['more at least than at most', () => ({ minInstances: 5 }), /minInstances 5 is more than maxInstances 4/],
    ['a share above the whole', () => ({ capacity: Capacity.mixed({ onDemandPercent: 101 }) }), /0 to 100/],
    ['a name that is no DNS label', () => ({ clusterName: 'Team_A' }), /clusterName Team_A is not 1 to 32/],
    ['an override of nothing', () => ({ cfnOverrides: { asg: {} } }), /asg is none of vpc, cluster, securityGroup/],
  ])('refuses %s', (_, props, message) => {
    expect(() => clusterIn(testStack().stack, props())).toThrow(message);
  });

  test('takes overrides as CloudFormation writes them', () => {
    made({ cfnOverrides: { autoScalingGroup: { DefaultInstanceWarmup: 60 } } }).hasResourceProperties(GROUP, {
      DefaultInstanceWarmup: 60,
    });
  });
});

test('instances are stopped first when a cluster goes: before provider, association, group and cluster', () => {
  const template = made();
  const [removal] = Object.values(ofType(template, 'Custom::WharfGroupRemoval'));
  const after = removal?.['DependsOn'] as readonly string[];
  for (const type of [GROUP, 'AWS::ECS::CapacityProvider', ASSOCIATION, 'AWS::ECS::Cluster']) {
    for (const id of Object.keys(ofType(template, type))) expect(after).toContain(id);
  }
  const onDelete = JSON.stringify(onlyOf(template, 'Custom::WharfGroupRemoval'));
  expect(onDelete).toMatch(/DeleteAutoScalingGroup/);
  expect(onDelete).toMatch(/ForceDelete/);
});

function types(...families: readonly string[]): InstanceType[] {
  return families.map((family) => new InstanceType(`${family}.large`));
}
