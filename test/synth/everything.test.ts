/**
 * All constructs at once: whatever keeps something, costs something or answers somewhere is a property of the construct
 * that made it; and what a team has already is taken in its place.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { CfnResource, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { AttributeType, type ITableV2, TableV2 } from 'aws-cdk-lib/aws-dynamodb';
import { type IVpc, Vpc } from 'aws-cdk-lib/aws-ec2';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Key } from 'aws-cdk-lib/aws-kms';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { Bucket, BucketEncryption, type IBucket } from 'aws-cdk-lib/aws-s3';
import { type ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct, type IConstruct } from 'constructs';
import {
  BuildWorker,
  type CfnOverrides,
  ContainerCluster,
  ControlPlane,
  DockerfileImage,
  ImageBuilder,
  ImageCollector,
  ImageProvider,
  ImageStore,
  MadeClusters,
  Monitoring,
  RegistryDomain,
  RegistryFront,
  Service,
  ServiceImage,
  ServiceProvider,
  Wharf,
} from '../../lib/constructs/index.js';
import * as constructs from '../../lib/constructs/index.js';
import { testStack } from './unbundled.js';

/** Rules that bind two of the others, rights of theirs, and the parts of a network. */
const BINDINGS =
  /^AWS::(IAM::(Policy|InstanceProfile)|Lambda::(Permission|EventSourceMapping|EventInvokeConfig)|SQS::QueuePolicy|S3::BucketPolicy|Events::Rule|ApiGatewayV2::(Integration|Route|ApiMapping)|ECS::ClusterCapacityProviderAssociations|EC2::(?!VPC$|LaunchTemplate$|SecurityGroup$).*|Logs::LogStream|CDK::Metadata)$/;
/** What CDK makes by itself, for its custom resources and for the logs of a network. */
const OF_CDK =
  /\/(Custom::|AWS679f53fac|CDKMetadata|framework-|waiter-state-machine|Provider\/|AWSCDK|AutoDeleteObjects|(OnEvent|Complete)Role\/|FlowLog\/)/;
/** One of a stack, which a prop replaces. */
const OF_STACK = /\/WharfRemovalLogs\//;

function everything(stack: Stack): readonly IConstruct[] {
  const capacity = new ContainerCluster(stack, 'Capacity');
  const wharf = new Wharf(stack, 'Wharf', { capacity });
  const { store, builder, controlPlane, edge } = wharf;
  const registryFront = new RegistryFront(stack, 'Front', { store, builder, capacity, plainHttp: true });
  const image = new DockerfileImage(stack, 'Image', { directory: 'examples/cdk-dockerfile-image/app', builder });
  return [
    wharf,
    registryFront,
    image,
    new MadeClusters(stack, 'MadeClusters', { controlPlane, capacity }),
    new RegistryDomain(stack, 'Domain', { edge }),
    new Service(stack, 'Web', { edge, image: ServiceImage.fromDockerfileImage(image) }),
    new Monitoring(stack, 'Monitoring', { wharf, registryFront }),
  ];
}

/** What a reader of the code gets at, from property to property. */
function reachable(roots: readonly IConstruct[]): ReadonlySet<CfnResource> {
  const found = new Set<CfnResource>();
  const seen = new Set<object>();
  const visit = (value: unknown, depth: number): void => {
    if (typeof value !== 'object' || value === null || seen.has(value) || depth > 5) return;
    seen.add(value);
    if (value instanceof CfnResource) found.add(value);
    if (Array.isArray(value)) return value.forEach((each) => visit(each, depth));
    if (!Construct.isConstruct(value)) return;
    const { defaultChild } = value.node;
    if (defaultChild instanceof CfnResource) found.add(defaultChild);
    // Of what is Wharf's: what CDK's own constructs show is theirs.
    if (isOfCdk(value)) return;
    for (const name of propertiesOf(value)) visit(Reflect.get(value, name), depth + 1);
  };
  for (const root of roots) visit(root, 0);
  return found;
}

const isOfCdk = (value: object): boolean => Object.getOwnPropertySymbols(value.constructor).some(isJsiiMark);
const isJsiiMark = (symbol: symbol): boolean => symbol.description === 'jsii.rtti';

function propertiesOf(value: object): readonly string[] {
  const prototype: object = Object.getPrototypeOf(value) as object;
  const getters = Object.getOwnPropertyNames(prototype).filter(
    (name) => 'get' in (Object.getOwnPropertyDescriptor(prototype, name) ?? {}),
  );
  return [...Object.keys(value), ...getters].filter((name) => name !== 'node');
}

describe('what the constructs make', () => {
  test('is a property of theirs, whatever keeps something, costs something or answers somewhere', () => {
    const { stack } = testStack();
    const shown = reachable(everything(stack));
    const made = stack.node.findAll().filter((each): each is CfnResource => CfnResource.isCfnResource(each));
    const hidden = made.filter((each) => {
      const path = `/${each.node.path}/`;
      const isAside = BINDINGS.test(each.cfnResourceType) || OF_CDK.test(path) || OF_STACK.test(path);
      return !isAside && !shown.has(each);
    });
    expect(hidden.map(({ node, cfnResourceType }) => `${node.path} ${cfnResourceType}`)).toEqual([]);
    expect(shown.size).toBeGreaterThan(60);
  }, 60_000);
});

describe('what a team has already', () => {
  test('is taken instead: network, bucket, table, secrets and every log group', () => {
    const { app, stack, template } = testStack();
    const theirs = new Stack(app, 'Theirs');
    const logs = (id: string): LogGroup => new LogGroup(theirs, id);
    const secret = (id: string): ISecret => new Secret(theirs, id) as ISecret;
    const key = new Key(theirs, 'Key');
    const bucket = new Bucket(theirs, 'Bucket', { encryption: BucketEncryption.KMS, encryptionKey: key }) as IBucket;
    const table = new TableV2(theirs, 'Table', {
      partitionKey: { name: 'pk', type: AttributeType.STRING },
      sortKey: { name: 'sk', type: AttributeType.STRING },
    }) as ITableV2;
    const customResourceLogs = logs('CustomResources');
    const store = new ImageStore(stack, 'Store', {
      ...{ bucket, table, sealingKey: secret('SealingKey'), adminToken: secret('AdminToken') },
      removalPolicy: RemovalPolicy.RETAIN,
    });
    const capacity = new ContainerCluster(stack, 'Capacity', {
      vpc: new Vpc(theirs, 'Vpc') as IVpc,
      customResourceLogs,
    });
    const builder = new ImageBuilder(stack, 'Builder', { store, customResourceLogs, logGroup: logs('Builder') });
    const { edge } = new Wharf(stack, 'Wharf', {
      ...{ store, capacity, builder, deployToken: secret('DeployToken') },
      ...{ apiLogs: logs('Api'), registryLogs: logs('Registry'), reconcilerLogs: logs('Reconciler') },
      ...{ collectorLogs: logs('Collector'), taskLogs: logs('Tasks'), workerLogs: logs('Workers') },
      accessLogs: logs('Access'),
    });
    const images = new ImageProvider(stack, 'Images', {
      ...{ builder, logGroup: logs('Images'), frameworkLogs: logs('ImagesFramework') },
    });
    const directory = 'examples/cdk-dockerfile-image/app';
    const image = new DockerfileImage(stack, 'Image', { directory, builder, provider: images });
    const services = new ServiceProvider(stack, 'Services', {
      ...{ edge, logGroup: logs('Services'), frameworkLogs: logs('ServicesFramework') },
    });
    new Service(stack, 'Web', { edge, image: ServiceImage.fromDockerfileImage(image), provider: services });
    const made = template();
    for (const type of [
      'Logs::LogGroup',
      'S3::Bucket',
      'DynamoDB::GlobalTable',
      'SecretsManager::Secret',
      'EC2::VPC',
    ]) {
      made.resourceCountIs(`AWS::${type}`, 0);
    }
    // A bucket with a key of its own is of no use without the key.
    const uses = JSON.stringify(made.findResources('AWS::IAM::Policy'));
    expect(uses.match(/kms:GenerateDataKey\*/g)?.length).toBeGreaterThanOrEqual(5);
  }, 60_000);

  test('has to belong together: a provider waits for images of its builder, and for services of its platform', () => {
    const { stack } = testStack();
    const wharf = new Wharf(stack, 'Wharf');
    const provider = new ImageProvider(stack, 'Images', { builder: wharf.builder });
    const directory = 'examples/cdk-dockerfile-image/app';
    expect(() => new DockerfileImage(stack, 'Image', { directory, provider })).toThrow(
      /Test\/Image: the provider Test\/Images has another builder than the image/,
    );
    const other = new Wharf(stack, 'Other', {
      capacity: new ContainerCluster(stack, 'Small', { clusterName: 'small' }),
    });
    const services = new ServiceProvider(stack, 'Services', { edge: other.edge });
    const image = ServiceImage.fromRegistry('web:1');
    expect(() => new Service(stack, 'Web', { edge: wharf.edge, image, provider: services })).toThrow(
      /is for another edge than the service/,
    );
  }, 60_000);
});

test('metrics of all parts name what they are of', () => {
  const { stack } = testStack();
  const { workers, edge } = new Wharf(stack, 'Wharf');
  expect(stack.resolve(workers.metricMemoryUsed().dimensions)).toEqual({
    ClusterName: expect.anything(),
    TaskDefinitionFamily: expect.anything(),
  });
  const domain = new RegistryDomain(stack, 'Domain', { edge });
  expect(domain.metricRequests().metricName).toBe('Requests');
  expect(domain.metricServerErrorRate().metricName).toBe('5xxErrorRate');
  const role = new Role(stack, 'Reader', { assumedBy: new ServicePrincipal('ec2.amazonaws.com') });
  edge.grantDeploy(role);
});

describe('cfnOverrides', () => {
  const wharfOf = (stack: Stack) => {
    const { store, builder, capacity, controlPlane, edge } = new Wharf(stack, 'Wharf');
    return { store, builder, capacity, controlPlane, edge };
  };
  const all: readonly (readonly [file: string, make: (stack: Stack, cfnOverrides: CfnOverrides) => unknown])[] = [
    ['image-store', (stack, cfnOverrides) => new ImageStore(stack, 'Made', { cfnOverrides })],
    ['container-cluster', (stack, cfnOverrides) => new ContainerCluster(stack, 'Made', { cfnOverrides })],
    ['image-builder', (stack, cfnOverrides) => new ImageBuilder(stack, 'Made', { ...wharfOf(stack), cfnOverrides })],
    ['image-provider', (stack, cfnOverrides) => new ImageProvider(stack, 'Made', { ...wharfOf(stack), cfnOverrides })],
    [
      'image-collector',
      (stack, cfnOverrides) => new ImageCollector(stack, 'Made', { ...wharfOf(stack), cfnOverrides }),
    ],
    ['control-plane', (stack, cfnOverrides) => new ControlPlane(stack, 'Made', { ...wharfOf(stack), cfnOverrides })],
    ['build-worker', (stack, cfnOverrides) => new BuildWorker(stack, 'Made', { ...wharfOf(stack), cfnOverrides })],
    [
      'service-provider',
      (stack, cfnOverrides) => new ServiceProvider(stack, 'Made', { ...wharfOf(stack), cfnOverrides }),
    ],
    [
      'registry-domain',
      (stack, cfnOverrides) => new RegistryDomain(stack, 'Made', { ...wharfOf(stack), cfnOverrides }),
    ],
    [
      'registry-front',
      (stack, cfnOverrides) => new RegistryFront(stack, 'Made', { ...wharfOf(stack), plainHttp: true, cfnOverrides }),
    ],
    ['wharf', (stack, cfnOverrides) => new Wharf(stack, 'Made', { cfnOverrides })],
    ['monitoring', (stack, cfnOverrides) => monitoredFront(stack, cfnOverrides)],
  ];

  function monitoredFront(stack: Stack, cfnOverrides: CfnOverrides): Monitoring {
    const wharf = new Wharf(stack, 'Wharf');
    const { store, builder, capacity } = wharf;
    const registryFront = new RegistryFront(stack, 'Front', { store, builder, capacity, plainHttp: true });
    return new Monitoring(stack, 'Made', { wharf, registryFront, cfnOverrides });
  }

  test.each(all)('of %s reach every resource that they name', (file, make) => {
    const text = readFileSync(`lib/constructs/${file}.ts`, 'utf8');
    const [, said = ''] = /\/\*\* For ([^.]*)\. @default - none \*\/\n {2}readonly cfnOverrides\?/.exec(text) ?? [];
    const names = [...said.matchAll(/`(\w+)`/g)].map(([, name = '']) => name);
    expect(names.length).toBeGreaterThan(0);
    const { stack } = testStack();
    make(stack, Object.fromEntries(names.map((name) => [name, { Marker: name }])));
    // Not synthesised: CDK would warn of a property that no resource has.
    const made = JSON.stringify(stack.node.findAll().map((each) => Reflect.get(each, 'rawOverrides') as unknown));
    expect(names.filter((name) => !made.includes(`"Marker":"${name}"`))).toEqual([]);
  });
});

test('every construct that the docs list can be imported from the package', () => {
  const text = readFileSync('docs/aws/constructs.md', 'utf8');
  const names = new Set([...text.matchAll(/^\| \[?`(\w+)`/gm)].map(([, name = '']) => name));
  expect(names.size).toBeGreaterThan(10);
  expect([...names].filter((name) => !(name in constructs))).toEqual([]);
});
