/** RegistryFront in templates: who reaches it, what it may do, how it ends, and what is refused. */
import { describe, expect, test } from '@jest/globals';
import { Duration, Stack } from 'aws-cdk-lib';
import { Match, type Template } from 'aws-cdk-lib/assertions';
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager';
import { Peer } from 'aws-cdk-lib/aws-ec2';
import { ContainerImage } from 'aws-cdk-lib/aws-ecs';
import { HostedZone } from 'aws-cdk-lib/aws-route53';
import {
  Capacity,
  ContainerCluster,
  type ContainerClusterProps,
  ImageBuilder,
  ImageStore,
  Monitoring,
  RegistryFront,
  type RegistryFrontProps,
  Wharf,
} from '../../lib/constructs/index.js';
import { CloudFormationSchema, type TemplateResources } from './cloudformation-schema.js';
import { ofType, onlyOf, testStack } from './unbundled.js';

type Given = Partial<RegistryFrontProps>;

const LISTENER = 'AWS::ElasticLoadBalancingV2::Listener';
const SERVICE = 'AWS::ECS::Service';

function parts(stack: Stack, cluster: ContainerClusterProps = {}) {
  const store = new ImageStore(stack, 'Store');
  const builder = new ImageBuilder(stack, 'Builder', { store });
  return { store, builder, capacity: new ContainerCluster(stack, 'Capacity', cluster) };
}

function frontIn(stack: Stack, props: Given, cluster: ContainerClusterProps = {}): RegistryFront {
  return new RegistryFront(stack, 'Front', { ...parts(stack, cluster), ...props });
}

function withName(stack: Stack): Given {
  const arn = 'arn:aws:acm:eu-central-1:111111111111:certificate/01234567-89ab-cdef-0123-456789abcdef';
  return { certificate: Certificate.fromCertificateArn(stack, 'Cert', arn), domainName: 'registry.example.org' };
}

let usual: Template | undefined;

/** With cdk-nag over all of it; made once where nothing is asked for. */
function made(given?: Given | ((stack: Stack) => Given)): Template {
  if (given !== undefined) return synthesised(given);
  usual ??= synthesised(withName);
  return usual;
}

function synthesised(given: Given | ((stack: Stack) => Given)): Template {
  const { stack, template } = testStack({ nag: true });
  frontIn(stack, typeof given === 'function' ? given(stack) : given);
  return template();
}

function containerOf(template: Template): Record<string, unknown> {
  const { ContainerDefinitions } = onlyOf(template, 'AWS::ECS::TaskDefinition') as {
    ContainerDefinitions: readonly Record<string, unknown>[];
  };
  return ContainerDefinitions[0] ?? {};
}

describe('the registry front', () => {
  test('answers TLS alone, under the name of its certificate, and says that name to clients', () => {
    const template = made();
    template.resourceCountIs(LISTENER, 1);
    template.hasResourceProperties(LISTENER, { Port: 443, Protocol: 'HTTPS', Certificates: [Match.anyValue()] });
    expect(containerOf(template)['Environment']).toContainEqual({
      Name: 'WHARF_PUBLIC_URL',
      Value: 'https://registry.example.org',
    });
  });

  test('is plain HTTP when that is asked for, under the name of the load balancer', () => {
    const template = made({ plainHttp: true });
    template.hasResourceProperties(LISTENER, { Port: 80, Protocol: 'HTTP' });
    expect(JSON.stringify(containerOf(template)['Environment'])).toMatch(/"http:\/\/",.*DNSName/);
  });

  test('points its name at the load balancer where it has the zone', () => {
    const zone = { hostedZoneId: 'Z1', zoneName: 'example.org' };
    const template = made((stack) => ({
      ...withName(stack),
      hostedZone: HostedZone.fromHostedZoneAttributes(stack, 'Zone', zone),
    }));
    template.hasResourceProperties('AWS::Route53::RecordSet', { Name: 'registry.example.org.', Type: 'A' });
    made().resourceCountIs('AWS::Route53::RecordSet', 0);
  });

  test('runs on the capacity of the cluster, is replaced one by one, and goes back when it does not start', () => {
    const { stack, template } = testStack();
    frontIn(stack, { ...withName(stack), count: 3 });
    template().hasResourceProperties(SERVICE, {
      DesiredCount: 3,
      CapacityProviderStrategy: [Match.objectLike({ Weight: 1 })],
      LaunchType: Match.absent(),
      DeploymentConfiguration: Match.objectLike({
        MinimumHealthyPercent: 100,
        DeploymentCircuitBreaker: { Enable: true, Rollback: true },
      }),
    });
    const [service] = Object.values(ofType(template(), SERVICE));
    const after = String(service?.['DependsOn']);
    expect(after).toMatch(/GroupRemoval/);
    expect(after).toMatch(/Listener/);
  });

  test('is asked for its health, drained before it is stopped, and stopped later than it cuts what is left', () => {
    const template = made((stack) => ({ ...withName(stack), drain: Duration.minutes(20) }));
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::TargetGroup', {
      HealthCheckPath: '/healthz',
      TargetGroupAttributes: Match.arrayWith([{ Key: 'deregistration_delay.timeout_seconds', Value: '1200' }]),
    });
    expect(containerOf(template)).toMatchObject({
      StopTimeout: 120,
      Environment: expect.arrayContaining([{ Name: 'WHARF_DRAIN_SECONDS', Value: '110' }]),
      ReadonlyRootFilesystem: true,
    });
  });

  test('opens instances to the load balancer alone, and that to its port alone', () => {
    const template = made((stack) => ({ ...withName(stack), clients: [Peer.ipv4('10.1.0.0/16')] }));
    const inline = Object.values(ofType(template, 'AWS::EC2::SecurityGroup')).flatMap(
      ({ Properties }) => (Properties as { SecurityGroupIngress?: readonly object[] }).SecurityGroupIngress ?? [],
    );
    expect(inline).toEqual([expect.objectContaining({ CidrIp: '10.1.0.0/16', FromPort: 443, ToPort: 443 })]);
    template.resourceCountIs('AWS::EC2::SecurityGroupIngress', 1);
    template.hasResourceProperties('AWS::EC2::SecurityGroupIngress', {
      FromPort: 32768,
      ToPort: 65535,
      SourceSecurityGroupId: { 'Fn::GetAtt': [Match.stringLikeRegexp('^FrontBalancerSecurityGroup'), 'GroupId'] },
    });
  });

  test('may read and write images and records and read two secrets, and nothing else', () => {
    const policies = Object.entries(ofType(made(), 'AWS::IAM::Policy')).filter(([id]) =>
      id.startsWith('FrontTaskRole'),
    );
    const actions = policies.flatMap(([, { Properties }]) =>
      (
        Properties as { PolicyDocument: { Statement: { Action: string | string[] }[] } }
      ).PolicyDocument.Statement.flatMap(({ Action }) => Action),
    );
    const services = new Set(actions.map((action) => action.split(':')[0]));
    expect(services).toEqual(new Set(['dynamodb', 's3', 'secretsmanager']));
    expect(actions.filter((action) => action.includes('*'))).toEqual([]);
  });

  test('is made of an image that Wharf builds for the instances, the same for the same sources', () => {
    const contexts = [made(), made({ plainHttp: true })].map(
      (template) => onlyOf(template, 'Custom::WharfDockerfileImage') as Record<string, unknown>,
    );
    expect(contexts[0]).toMatchObject({ Platform: 'linux/arm64' });
    expect(contexts[0]?.['ContextKey']).toBe(contexts[1]?.['ContextKey']);
    const own = made((stack) => ({ ...withName(stack), image: ContainerImage.fromRegistry('example.org/front:1') }));
    own.resourceCountIs('Custom::WharfDockerfileImage', 0);
    expect(containerOf(own)['Image']).toBe('example.org/front:1');
  });

  test('may stand in another stack than the cluster and the store, with nothing going round in a circle', () => {
    const { app, stack, template } = testStack({ nag: true });
    const base = new Stack(app, 'Base');
    new RegistryFront(stack, 'Front', { ...parts(base), ...withName(stack) });
    const schema = new CloudFormationSchema();
    for (const each of [stack, base]) {
      expect(schema.problems(template(each).toJSON()['Resources'] as TemplateResources)).toEqual([]);
    }
    expect(JSON.stringify(template(base).toJSON())).not.toMatch(/Front/);
  });

  test('is watched where it is told of', () => {
    const { stack, template } = testStack();
    const wharf = new Wharf(stack, 'Wharf');
    const { store, builder, capacity } = wharf;
    const registryFront = new RegistryFront(stack, 'Front', { store, builder, capacity, plainHttp: true });
    new Monitoring(stack, 'Monitoring', { wharf, registryFront });
    template().hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName: 'HealthyHostCount',
      ComparisonOperator: 'LessThanThreshold',
      TreatMissingData: 'breaching',
    });
  });

  test('takes overrides by the names under which it shows what it made', () => {
    const template = made((stack) => ({
      ...withName(stack),
      cfnOverrides: { targetGroup: { ProtocolVersion: 'HTTP1' } },
    }));
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::TargetGroup', { ProtocolVersion: 'HTTP1' });
  });

  test.each<[string, (stack: Stack) => Given, RegExp]>([
    ['no TLS that nobody asked to do without', () => ({}), /plainHttp: true where tokens may pass in the clear/],
    ['both', (stack) => ({ ...withName(stack), plainHttp: true }), /one of the two/],
    [
      'a certificate for no name',
      (stack) => ({ certificate: withName(stack).certificate as never }),
      /domainName says: no client trusts it/,
    ],
    [
      'a zone for no name',
      (stack) => ({ plainHttp: true, hostedZone: HostedZone.fromHostedZoneId(stack, 'Zone', 'Z1') as never }),
      /there is none/,
    ],
  ])('refuses %s', (_, given, message) => {
    const { stack } = testStack();
    expect(() => frontIn(stack, given(stack))).toThrow(message);
  });

  test('refuses capacity whose firewall it does not know', () => {
    const capacity = Capacity.imported({ capacityProviderName: 'theirs', platform: 'linux/amd64', maxInstances: 2 });
    expect(() => frontIn(testStack().stack, { plainHttp: true }, { capacity })).toThrow(
      /its capacity was imported.*takes vpc and securityGroup/,
    );
  });
});
