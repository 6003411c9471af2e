/**
 * The policy for CloudFormation in docs/aws against what the handlers of the app's resource types ask for, by the resource
 * schemas of CloudFormation (2026-08). A type that is new in a template has to be looked up there and gets a line here.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';

interface Policy {
  readonly Statement: readonly { readonly Action: string | readonly string[] }[];
}
const POLICY = JSON.parse(readFileSync('docs/aws/execution-policy.json', 'utf8')) as Policy;
const GIVEN = POLICY.Statement.flatMap(({ Action }) => Action);

const PASS = 'iam:PassRole';
const LINKED = 'iam:CreateServiceLinkedRole';
const KMS = ['kms:CreateGrant', 'kms:Decrypt', 'kms:DescribeKey', 'kms:GenerateDataKey'];
const iam = (names: string): string[] => names.split(' ').map((name) => `iam:${name}`);

/** By type: what its handlers ask for beyond the actions of the type's own service, but for what `NOT_USED` explains. */
const ASKED: Readonly<Record<string, readonly string[]>> = {
  'ApiGatewayV2::Api': ['s3:GetObject'],
  'ApiGatewayV2::Integration': [PASS],
  'ApiGatewayV2::Route': [],
  'ApiGatewayV2::Stage': [],
  'AutoScaling::AutoScalingGroup': [PASS, LINKED, 'ec2:RunInstances', 'elasticloadbalancing:DescribeTargetGroups'],
  'DynamoDB::GlobalTable': [
    ...[...KMS, 'kms:ListAliases', 'kms:RevokeGrant', LINKED],
    ...['application-autoscaling:DescribeScalableTargets', 'cloudwatch:PutMetricData'],
  ],
  'EC2::FlowLog': [PASS, LINKED, 'logs:CreateLogDelivery'],
  'EC2::InternetGateway': [],
  'EC2::LaunchTemplate': [],
  'EC2::Route': [],
  'EC2::RouteTable': [],
  'EC2::SecurityGroup': [],
  'EC2::SecurityGroupEgress': [],
  'EC2::SecurityGroupIngress': [],
  'EC2::Subnet': [],
  'EC2::SubnetRouteTableAssociation': [],
  'EC2::VPC': [],
  'EC2::VPCEndpoint': [],
  'EC2::VPCGatewayAttachment': [],
  'ECR::Repository': ['kms:DescribeKey', 'kms:CreateGrant', 'kms:RetireGrant'],
  'ECS::CapacityProvider': [PASS, LINKED, 'autoscaling:CreateOrUpdateTags'],
  'ECS::Cluster': [LINKED, 'kms:DescribeKey'],
  'ECS::ClusterCapacityProviderAssociations': [],
  'ECS::Service': [PASS],
  'ECS::TaskDefinition': [PASS, 'iam:GetRole'],
  'ElasticLoadBalancingV2::Listener': [],
  'ElasticLoadBalancingV2::LoadBalancer': ['ec2:DescribeInternetGateways'],
  'ElasticLoadBalancingV2::TargetGroup': [],
  'Events::Rule': [PASS],
  'IAM::InstanceProfile': iam(
    'AddRoleToInstanceProfile CreateInstanceProfile DeleteInstanceProfile GetInstanceProfile PassRole RemoveRoleFromInstanceProfile',
  ),
  'IAM::ManagedPolicy': iam(
    'AttachRolePolicy CreatePolicy CreatePolicyVersion DeletePolicy DeletePolicyVersion DetachRolePolicy GetPolicy GetPolicyVersion ListEntitiesForPolicy ListPolicyVersions',
  ),
  'IAM::Policy': iam('DeleteRolePolicy GetRolePolicy PutRolePolicy'),
  'IAM::Role': iam(
    'AttachRolePolicy CreateRole DeleteRole DeleteRolePermissionsBoundary DeleteRolePolicy DetachRolePolicy GetRole GetRolePolicy ListAttachedRolePolicies ListRolePolicies PutRolePermissionsBoundary PutRolePolicy TagRole UntagRole UpdateAssumeRolePolicy UpdateRole UpdateRoleDescription',
  ),
  'Lambda::EventInvokeConfig': [],
  'Lambda::EventSourceMapping': ['kms:DescribeKey', 'kms:GenerateDataKey', 'kms:Decrypt'],
  'Lambda::Function': [PASS, ...KMS, 'kms:Encrypt', 's3:GetObject', 'ec2:DescribeSubnets'],
  'Lambda::Permission': [],
  'Logs::LogGroup': [],
  'S3::Bucket': [PASS],
  'S3::BucketPolicy': [],
  'SQS::Queue': [],
  'SQS::QueuePolicy': [],
  'SecretsManager::Secret': [],
  'StepFunctions::StateMachine': [PASS, 'kms:DescribeKey', 'kms:GenerateDataKey', 'kms:Decrypt', 's3:GetObject'],
};

/** What handlers ask for when a property is set that no template of the app sets. */
const NOT_USED: Readonly<Record<string, string>> = {
  'iam:*Group* and iam:*User*': 'policies for groups and users of IAM',
  'iam:List… of handlers that list': 'drift of a whole account',
  cognito: 'listeners that log people in',
  elasticfilesystem: 'functions with file systems, as s3files',
  firehose: 'log groups that are delivered elsewhere',
  kinesis: 'streams of a table',
  'managed-fleets': 'groups that EC2 manages',
  s3tables: 'tables of the metadata of a bucket',
  'vpc-lattice': 'targets and endpoints of VPC Lattice, as vpce',
  'application-autoscaling:Put… and Register…': 'tables with provisioned capacity',
};

const allowed = (action: string): boolean =>
  GIVEN.some((given) => new RegExp(`^${given.replaceAll('*', '.*')}$`).test(action));

describe('the policy for CloudFormation', () => {
  const stored = readFileSync('test/synth/__snapshots__/stacks.test.ts.snap', 'utf8');
  const types = new Set(
    [...stored.matchAll(/"Type": "AWS::([A-Za-z0-9]+::[A-Za-z0-9]+)"/g)].map(([, type = '']) => type),
  );

  test('was compared with the handlers of every type that the app is made of', () => {
    expect(types.size).toBeGreaterThan(30);
    expect([...types].filter((type) => !(type in ASKED))).toEqual([]);
  });

  test.each(Object.entries(ASKED))('lets CloudFormation make, change and remove %s', (_, actions) => {
    expect(actions.filter((action) => !allowed(action))).toEqual([]);
  });

  test('gives nothing that was left out on purpose', () => {
    const services = Object.keys(NOT_USED).map((name) => name.replace(/^(?:application-autoscaling|iam).*/, ''));
    expect(services.filter((service) => service !== '' && GIVEN.some((action) => action.startsWith(service)))).toEqual(
      [],
    );
    for (const action of ['iam:CreateUser', 'iam:PutUserPolicy', 'iam:AttachGroupPolicy', 'sts:AssumeRole']) {
      expect([action, allowed(action)]).toEqual([action, false]);
    }
  });
});
