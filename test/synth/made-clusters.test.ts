/** Clusters made over the API: what the two functions are told, how far their rights go, and whose events they hear. */
import { describe, expect, test } from '@jest/globals';
import { Match } from 'aws-cdk-lib/assertions';
import { ManagedPolicy } from 'aws-cdk-lib/aws-iam';
import { Capacity, ContainerCluster, MadeClusters, Wharf } from '../../lib/constructs/index.js';
import type { TemplateResources } from './cloudformation-schema.js';
import { unexplainedWildcards } from './template-rules.js';
import { ofType, testStack } from './unbundled.js';

interface Statement {
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
  readonly Condition?: unknown;
}

describe('clusters made over the API', () => {
  const { stack, template: synthesise } = testStack({ nag: true });
  const capacity = new ContainerCluster(stack, 'Capacity');
  const wharf = new Wharf(stack, 'Wharf', { capacity });
  new MadeClusters(stack, 'MadeClusters', { controlPlane: wharf.controlPlane, capacity });
  const template = synthesise();

  test('are made by the API and the reconciler, which are told of what, and by no other function', () => {
    const told = Object.entries(ofType(template, 'AWS::Lambda::Function')).filter(([, { Properties }]) =>
      JSON.stringify(Properties).includes('WHARF_LAUNCH_TEMPLATE'),
    );
    expect(told.map(([id]) => id.replace(/[0-9A-F]{8}$/, ''))).toEqual([
      'WharfControlPlaneApiFunction',
      'WharfControlPlaneReconcilerFunction',
    ]);
    expect(JSON.stringify(told)).toMatch(/"WHARF_SUBNETS".*Subnet1.*Subnet2/);
  });

  test('have names under the deployed one, and no right goes further', () => {
    const statements = Object.values(ofType(template, 'AWS::IAM::Policy')).flatMap(
      ({ Properties }) => (Properties as { PolicyDocument: { Statement: Statement[] } }).PolicyDocument.Statement,
    );
    const allowing = (action: string): readonly Statement[] =>
      statements.filter(({ Action }) => [Action].flat().includes(action));
    for (const action of ['ecs:DeleteCluster', 'ecs:DeleteCapacityProvider', 'autoscaling:SetInstanceProtection']) {
      const found = allowing(action);
      expect(found).toHaveLength(2);
      for (const { Resource } of found) expect(JSON.stringify(Resource)).toContain('/wharf-*');
    }
    for (const { Condition } of allowing('ec2:RunInstances')) {
      expect(JSON.stringify(Condition)).toMatch(/ec2:LaunchTemplate.*IsLaunchTemplateResource":"true/);
    }
    const passed = allowing('iam:PassRole').map(({ Condition }) => JSON.stringify(Condition));
    expect(passed.filter((each) => each.includes('ec2.amazonaws.com'))).toHaveLength(2);
  });

  test('are made within a boundary, which lets no other machine be started and no other role be passed', () => {
    const [[id, boundary] = ['', {}]] = Object.entries(ofType(template, 'AWS::IAM::ManagedPolicy')).filter(([name]) =>
      name.includes('MadeClustersBoundary'),
    );
    const bounded = Object.entries(ofType(template, 'AWS::IAM::Role')).filter(([, { Properties }]) =>
      JSON.stringify((Properties as { PermissionsBoundary?: unknown }).PermissionsBoundary ?? '').includes(id),
    );
    expect(bounded.map(([role]) => role.replace(/[0-9A-F]{8}$/, ''))).toEqual([
      'WharfControlPlaneApiRole',
      'WharfControlPlaneReconcilerRole',
    ]);
    const { PolicyDocument } = boundary['Properties'] as { PolicyDocument: { Statement: Statement[] } };
    const allowing = (action: string): readonly Statement[] =>
      PolicyDocument.Statement.filter(({ Action }) =>
        [Action].flat().some((each) => new RegExp(`^${each.replaceAll('*', '.*')}$`).test(action)),
      );
    for (const action of [
      'ec2:TerminateInstances',
      'ec2:CreateVpc',
      'iam:CreateRole',
      'sts:AssumeRole',
      'lambda:InvokeFunction',
    ]) {
      expect([action, allowing(action)]).toEqual([action, []]);
    }
    const [launch, ...more] = allowing('ec2:RunInstances');
    expect([more, JSON.stringify(launch?.Condition)]).toEqual([[], expect.stringContaining('ec2:LaunchTemplate')]);
    const [group] = allowing('autoscaling:DeleteAutoScalingGroup');
    expect(JSON.stringify(group?.Resource)).toContain('autoScalingGroupName/wharf-*');
    const passed = allowing('iam:PassRole').map(({ Resource }) => JSON.stringify(Resource));
    expect(passed.join()).toMatch(/InstanceRole.*ExecutionRole/);
    expect(passed).toHaveLength(2);
    // What the roles are granted is let pass.
    const granted = Object.values(ofType(template, 'AWS::IAM::Policy'))
      .filter(({ Properties }) => bounded.some(([role]) => JSON.stringify(Properties).includes(role)))
      .flatMap(
        ({ Properties }) => (Properties as { PolicyDocument: { Statement: Statement[] } }).PolicyDocument.Statement,
      )
      .flatMap(({ Action }) => [Action].flat());
    expect(granted.length).toBeGreaterThan(30);
    expect(granted.filter((action) => allowing(action).length === 0)).toEqual([]);
  });

  test('need no right on every resource that is not explained; the boundary grants none', () => {
    const { Resources } = template.toJSON() as { readonly Resources: TemplateResources };
    const wide = unexplainedWildcards(Resources);
    expect(wide.filter((finding) => !finding.includes('MadeClustersBoundary'))).toEqual([]);
  });

  test('are heard of', () => {
    template.hasResourceProperties('AWS::Events::Rule', {
      EventPattern: { source: ['aws.ecs'], detail: { clusterArn: [{ prefix: Match.anyValue() }] } },
    });
  });
});

test('imported capacity has no launch template to make clusters from', () => {
  const { stack } = testStack();
  const capacity = new ContainerCluster(stack, 'Capacity', {
    capacity: Capacity.imported({ capacityProviderName: 'theirs', platform: 'linux/arm64', maxInstances: 4 }),
  });
  const { controlPlane } = new Wharf(stack, 'Wharf', { capacity });
  expect(() => new MadeClusters(stack, 'Made', { controlPlane, capacity })).toThrow(/launch template/);
});

test('a boundary of their own takes the place of the one that would be made', () => {
  const { stack, template } = testStack();
  const capacity = new ContainerCluster(stack, 'Capacity');
  const { controlPlane } = new Wharf(stack, 'Wharf', { capacity });
  const arn = 'arn:aws:iam::123456789012:policy/theirs';
  const permissionsBoundary = ManagedPolicy.fromManagedPolicyArn(stack, 'Theirs', arn);
  new MadeClusters(stack, 'Made', { controlPlane, capacity, permissionsBoundary });
  const made = template();
  expect(Object.keys(ofType(made, 'AWS::IAM::ManagedPolicy')).filter((id) => id.includes('Boundary'))).toEqual([]);
  const roles = Object.values(ofType(made, 'AWS::IAM::Role')).filter(({ Properties }) =>
    JSON.stringify(Properties).includes(arn),
  );
  expect(roles).toHaveLength(2);
});
