/** Parts that are there already, made beside or by their attributes: what they give to others, and that they are not made again. */
import { describe, expect, test } from '@jest/globals';
import type { Stack } from 'aws-cdk-lib';
import { Vpc, SecurityGroup } from 'aws-cdk-lib/aws-ec2';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import {
  ContainerCluster,
  type ContainerClusterAttributes,
  ControlPlane,
  Edge,
  ImageBuilder,
  ImageStore,
  RegistryFront,
  Wharf,
} from '../../lib/constructs/index.js';
import { onlyOf, testStack } from './unbundled.js';

const arn = (name: string): string => `arn:aws:secretsmanager:eu-central-1:111111111111:secret:${name}-AbCdEf`;

const CLUSTER: ContainerClusterAttributes = {
  clusterName: 'team',
  capacityProviderName: 'team-spot',
  platform: 'linux/amd64',
  maxInstances: 12,
};

function storeIn(stack: Stack) {
  return ImageStore.fromImageStoreAttributes(stack, 'Store', {
    bucketName: 'blobs',
    tableName: 'records',
    sealingKeyArn: arn('key'),
    adminTokenArn: arn('admin'),
  });
}

describe('a platform', () => {
  test('stands on a store and a cluster that others made', () => {
    const { stack, template } = testStack({ nag: true });
    const capacity = ContainerCluster.fromContainerClusterAttributes(stack, 'Capacity', CLUSTER);
    const wharf = new Wharf(stack, 'Wharf', { store: storeIn(stack), capacity });
    const made = template();
    for (const type of ['S3::Bucket', 'DynamoDB::GlobalTable', 'ECS::Cluster', 'AutoScaling::AutoScalingGroup']) {
      made.resourceCountIs(`AWS::${type}`, 0);
    }
    const environment = JSON.stringify(made.findResources('AWS::Lambda::Function'));
    for (const value of ['"team-spot"', '"linux/amd64"', '"12"', '"records"']) expect(environment).toContain(value);
    expect(stack.resolve(wharf.capacity.metricInstances().dimensions)).toEqual({ ClusterName: 'team' });
  });

  test('has a registry front on an imported cluster only where its network and firewall are said', () => {
    const { stack, template } = testStack({ nag: true });
    const { store, builder } = new Wharf(stack, 'Wharf', { store: storeIn(stack) });
    const front = (id: string, attributes: Partial<ContainerClusterAttributes>): RegistryFront => {
      const imported = { ...CLUSTER, ...attributes };
      const capacity = ContainerCluster.fromContainerClusterAttributes(stack, `${id}Capacity`, imported);
      return new RegistryFront(stack, id, { store, builder, capacity, plainHttp: true });
    };
    expect(() => front('Blind', {})).toThrow(/BlindCapacity: was imported without its vpc and the securityGroup/);
    const vpc = Vpc.fromVpcAttributes(stack, 'Vpc', {
      vpcId: 'vpc-0123456789abcdef0',
      availabilityZones: ['eu-central-1a', 'eu-central-1b'],
      publicSubnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'],
    });
    const securityGroup = SecurityGroup.fromSecurityGroupId(stack, 'Instances', 'sg-0123456789abcdef0');
    front('Front', { vpc, securityGroup });
    expect(onlyOf(template(), 'AWS::EC2::SecurityGroupIngress')).toMatchObject({ GroupId: 'sg-0123456789abcdef0' });
  });
});

test('a platform takes a builder made beside it, over its own store alone', () => {
  const { stack, template } = testStack({ nag: true });
  const store = new ImageStore(stack, 'Store');
  const builder = new ImageBuilder(stack, 'Builder', { store, dockerHub: true, scratchMiB: 10_240 });
  expect(new Wharf(stack, 'Wharf', { store, builder }).builder).toBe(builder);
  template().resourceCountIs('AWS::Lambda::EventSourceMapping', 2);
  template().hasResourceProperties('AWS::Lambda::Function', { EphemeralStorage: { Size: 10_240 } });
  expect(() => new Wharf(testStack({ name: 'Other' }).stack, 'Elsewhere', { builder })).toThrow(
    /Elsewhere: the builder Test\/Builder has another store/,
  );
});

describe('who may deploy', () => {
  test.each([
    ['a control plane', (stack: Stack) => new Wharf(stack, 'Wharf').controlPlane, /DeployToken/],
    ['all of it', (stack: Stack) => new Wharf(stack, 'Wharf'), /DeployToken/],
    [
      'an imported control plane',
      (stack: Stack) =>
        ControlPlane.fromControlPlaneAttributes(stack, 'ControlPlane', { deployTokenArn: arn('deploy') }),
      /deploy-AbCdEf/,
    ],
    [
      'an imported door',
      (stack: Stack) =>
        Edge.fromEdgeAttributes(stack, 'Edge', { url: 'https://x.example.org', deployTokenArn: arn('deploy') }),
      /deploy-AbCdEf/,
    ],
  ])('through %s reads the token, and has no other right', (_, platform, secret) => {
    const { stack, template } = testStack();
    const role = new Role(stack, 'Pipeline', { assumedBy: new ServicePrincipal('codebuild.amazonaws.com') });
    platform(stack).grantDeploy(role);
    const [policy] = Object.entries(template().findResources('AWS::IAM::Policy'))
      .filter(([id]) => id.startsWith('Pipeline'))
      .map(([, { Properties }]) => Properties as { PolicyDocument: { Statement: { Action: string[] }[] } });
    const statements = policy?.PolicyDocument.Statement ?? [];
    expect(statements.map(({ Action }) => Action)).toEqual([
      ['secretsmanager:GetSecretValue', 'secretsmanager:DescribeSecret'],
    ]);
    expect(JSON.stringify(statements)).toMatch(secret);
  });

  test('no token for it is made until somebody asks', () => {
    const { stack, template } = testStack();
    new Wharf(stack, 'Wharf');
    expect(Object.keys(template().findResources('AWS::SecretsManager::Secret')).join()).not.toMatch(/Deploy/);
  });
});
