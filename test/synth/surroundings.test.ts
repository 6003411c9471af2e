/** All of the constructs where apps put them: other regions and partitions, a stage, beside others of their kind, under rules of an organisation. */
import { createRequire } from 'node:module';
import { describe, expect, test } from '@jest/globals';
import { Stack, Stage, Tags } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { ManagedPolicy, PermissionsBoundary } from 'aws-cdk-lib/aws-iam';
import {
  ContainerCluster,
  DockerfileImage,
  MadeClusters,
  Monitoring,
  RegistryDomain,
  RegistryFront,
  Service,
  ServiceImage,
  Wharf,
} from '../../lib/constructs/index.js';
import { CloudFormationSchema, type TemplateResources } from './cloudformation-schema.js';
import { ofType, testStack } from './unbundled.js';

const ACCOUNT = '111111111111';
const schema = new CloudFormationSchema();

function everythingIn(stack: Stack, id = 'Wharf', clusterName = 'wharf'): Wharf {
  const capacity = new ContainerCluster(stack, `${id}Capacity`, { clusterName });
  const wharf = new Wharf(stack, id, { capacity, workerBaseImage: 'build-worker-base:1' });
  const { store, builder, controlPlane, edge } = wharf;
  const registryFront = new RegistryFront(stack, `${id}Front`, { store, builder, capacity, plainHttp: true });
  const directory = 'examples/cdk-dockerfile-image/app';
  const image = new DockerfileImage(stack, `${id}Image`, { directory, builder });
  new MadeClusters(stack, `${id}Made`, { controlPlane, capacity });
  if (!stack.region.startsWith('cn-')) new RegistryDomain(stack, `${id}Domain`, { edge });
  new Service(stack, `${id}Web`, { edge, image: ServiceImage.fromDockerfileImage(image) });
  new Monitoring(stack, `${id}Monitoring`, { wharf, registryFront });
  return wharf;
}

const problems = (template: Template): readonly string[] =>
  schema.problems(template.toJSON()['Resources'] as TemplateResources);

describe('all of the constructs', () => {
  test.each([undefined, 'cn-north-1', 'us-gov-west-1', 'us-east-1'])(
    'name no partition of AWS and no domain but services, in a stack of %s',
    (region) => {
      const { stack, template } = testStack({
        nag: region === 'cn-north-1',
        ...(region === undefined ? {} : { env: { account: ACCOUNT, region } }),
      });
      everythingIn(stack);
      const text = JSON.stringify(template().toJSON());
      expect(text).not.toContain('arn:aws:');
      const hosts = new Set([...text.matchAll(/[\w.-]*\bamazonaws\.com[\w.]*/g)].map(([host]) => host));
      // Service principals are called so in every partition.
      expect([...hosts].filter((host) => !/^[\w-]+(\.elasticloadbalancing)?\.amazonaws\.com$/.test(host))).toEqual([]);
      expect(problems(template())).toEqual([]);
    },
    60_000,
  );

  test('hold under the settings that `cdk init` writes into an app', () => {
    const flags = createRequire(import.meta.url)('aws-cdk-lib/recommended-feature-flags.json') as Record<
      string,
      unknown
    >;
    expect(Object.keys(flags).length).toBeGreaterThan(50);
    const { stack, template } = testStack({ context: flags, nag: true });
    everythingIn(stack);
    expect(problems(template())).toEqual([]);
  }, 60_000);

  test('stand in a stage, and a second time beside themselves', () => {
    const { app } = testStack();
    const stage = new Stage(app, 'Production', { env: { account: ACCOUNT, region: 'eu-west-1' } });
    const stack = new Stack(stage, 'Team');
    everythingIn(stack);
    everythingIn(stack, 'Second', 'second');
    const template = Template.fromStack(stack);
    expect(problems(template)).toEqual([]);
    template.resourceCountIs('AWS::ECS::Cluster', 2);
    const named = Object.values(template.toJSON()['Resources'] as TemplateResources).flatMap(
      ({ Type, Properties = {} }) =>
        ['Name', 'ClusterName'].map((prop) => `${Type} ${prop} ${String(Properties[prop])}`),
    );
    // What has a name of its own in the account, it has from a prop.
    const given = named.filter((each) => /::(Cluster|Queue|Bucket|Alarm|Rule) \w+ (?!undefined)/.test(each));
    expect(given).toEqual(['AWS::ECS::Cluster ClusterName wharf', 'AWS::ECS::Cluster ClusterName second']);
  }, 60_000);

  test('take the tags of the app, wherever CloudFormation and CDK take any', () => {
    const { app, stack, template } = testStack();
    everythingIn(stack);
    Tags.of(app).add('team', 'blue');
    const untagged = Object.values(template().toJSON()['Resources'] as TemplateResources).filter(
      ({ Properties = {} }) => !JSON.stringify(Properties).includes('"team"'),
    );
    const types = new Set(untagged.map(({ Type }) => Type));
    for (const type of ['AutoScaling::AutoScalingGroup', 'EC2::LaunchTemplate', 'S3::Bucket', 'ECR::Repository']) {
      expect([...types]).not.toContain(`AWS::${type}`);
    }
    template().hasResourceProperties('AWS::AutoScaling::AutoScalingGroup', {
      Tags: [
        { Key: 'AmazonECSManaged', Value: '', PropagateAtLaunch: true },
        { Key: 'Name', PropagateAtLaunch: true },
        { Key: 'team', Value: 'blue', PropagateAtLaunch: true },
      ],
    });
  });

  test.each<[string, (stack: Stack) => void, Record<string, unknown>]>([
    [
      'an aspect',
      (stack) => PermissionsBoundary.of(stack).apply(ManagedPolicy.fromManagedPolicyName(stack, 'Theirs', 'theirs')),
      {},
    ],
    ['a setting of the app', () => {}, { '@aws-cdk/core:permissionsBoundary': { name: 'theirs' } }],
  ])('have every role within the boundary that %s gives', (_, bound, context) => {
    const { stack, template } = testStack({ context });
    everythingIn(stack);
    bound(stack);
    const roles = Object.entries(ofType(template(), 'AWS::IAM::Role')).map(([id, { Properties }]) => [
      id,
      JSON.stringify((Properties as { PermissionsBoundary?: unknown }).PermissionsBoundary ?? ''),
    ]);
    expect(roles.length).toBeGreaterThan(15);
    expect(roles.filter(([, boundary = '']) => !boundary.includes('policy/theirs'))).toEqual([]);
  });
});
