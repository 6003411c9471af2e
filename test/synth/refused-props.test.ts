/** What the constructs do not take: said at synthesis, with where, what and what would be taken. And what they take though only a deployment knows it. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { Aws, CfnParameter, Stack, Token } from 'aws-cdk-lib';
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager';
import { InstanceType, type IVpc, Vpc } from 'aws-cdk-lib/aws-ec2';
import { ContainerImage } from 'aws-cdk-lib/aws-ecs';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { Bucket, type IBucket } from 'aws-cdk-lib/aws-s3';
import {
  type BuilderSourcePolicy,
  BuildWorker,
  type BuildWorkerProps,
  Capacity,
  ContainerCluster,
  type ContainerClusterProps,
  ControlPlane,
  DockerfileImage,
  Edge,
  ImageBuilder,
  type ImageBuilderProps,
  ImageCollector,
  ImageStore,
  RegistryDomain,
  RegistryFront,
  type RegistryFrontProps,
  Service,
  ServiceImage,
  type ServiceProps,
  Wharf,
} from '../../lib/constructs/index.js';
import { testStack } from './unbundled.js';

const ARN = 'arn:aws:secretsmanager:eu-central-1:111111111111:secret:Token-AbCdEf';
const CONTEXT = 'examples/cdk-dockerfile-image/app';
const POLICY: BuilderSourcePolicy = { rules: [{ action: 'DENY', selector: { identifier: 'docker-image://*' } }] };

const builder = (stack: Stack, props: Partial<ImageBuilderProps>) =>
  new ImageBuilder(stack, 'Builder', { store: new ImageStore(stack, 'Store'), ...props });
const collector = (stack: Stack, reservedConcurrency: number) =>
  new ImageCollector(stack, 'Collector', { store: new ImageStore(stack, 'Store'), reservedConcurrency });
const cluster = (stack: Stack, props: ContainerClusterProps) => new ContainerCluster(stack, 'Cluster', props);
const worker = (stack: Stack, props: Partial<BuildWorkerProps>) => {
  const { store, builder: made, capacity, controlPlane } = new Wharf(stack, 'Wharf');
  return new BuildWorker(stack, 'Worker', { store, builder: made, capacity, controlPlane, ...props });
};
const front = (stack: Stack, props: Partial<RegistryFrontProps>) => {
  const { store, builder: made, capacity } = new Wharf(stack, 'Wharf');
  return new RegistryFront(stack, 'Front', { store, builder: made, capacity, plainHttp: true, ...props });
};
const edgeAt = (stack: Stack, url = 'https://wharf.example.org') =>
  Edge.fromEdgeAttributes(stack, 'Platform', { url, deployTokenArn: ARN });
const service = (stack: Stack, props: Partial<ServiceProps>) =>
  new Service(stack, 'Web', { edge: edgeAt(stack), image: ServiceImage.fromRegistry('web:1'), ...props });
const bucket = (stack: Stack): IBucket => new Bucket(stack, 'Theirs') as IBucket;
const logs = (stack: Stack) => new LogGroup(stack, 'Theirs');

type Make = (stack: Stack) => unknown;

test.each<[string, Make, RegExp]>([
  ['memory below Lambda’s', (s) => builder(s, { memoryMiB: 64 }), /Test\/Builder: memoryMiB 64: .*from 128 to 10240/],
  ['memory above it', (s) => builder(s, { memoryMiB: 20_000 }), /memoryMiB 20000/],
  ['scratch space below Lambda’s', (s) => builder(s, { scratchMiB: 100 }), /scratchMiB 100: .*from 512 to 10240/],
  ['no collector at once', (s) => collector(s, 0), /reservedConcurrency 0: .*of 1 or more/],
  ['one build at once', (s) => builder(s, { maxConcurrency: 1 }), /maxConcurrency 1: .*from 2 to 1000/],
  [
    'a builder for half a platform',
    (s) => builder(s, { platform: 'arm64' }),
    /platform arm64: linux\/arm64 or linux\/am/,
  ],
  ['fewer instances than none', (s) => cluster(s, { minInstances: -1 }), /minInstances -1: .*of 0 or more/],
  ['no instance at most', (s) => cluster(s, { maxInstances: 0 }), /maxInstances 0: .*of 1 or more/],
  ['half an instance', (s) => cluster(s, { maxInstances: 1.5 }), /maxInstances 1\.5/],
  ['a volume that the image does not fit on', (s) => cluster(s, { volumeGiB: 8 }), /volumeGiB 8: .*from 30 to/],
  [
    'more that are never Spot than there are',
    (s) => cluster(s, { capacity: Capacity.mixed({ onDemandInstances: 9 }) }),
    /onDemandInstances 9 is more than maxInstances 4/,
  ],
  [
    'a share that is none',
    (s) => cluster(s, { capacity: Capacity.mixed({ onDemandPercent: -1 }) }),
    /onDemandPercent -1: .*from 0 to 100/,
  ],
  [
    'capacity for half a platform',
    () => Capacity.imported({ capacityProviderName: 'theirs', platform: 'arm', maxInstances: 2 }),
    /Capacity\.imported: platform arm: /,
  ],
  [
    'numbers beside a capacity',
    (s) => cluster(s, { capacity: Capacity.onDemand(), maxInstances: 7 }),
    /maxInstances is for what is made where no capacity is given/,
  ],
  [
    'a type beside a capacity',
    (s) => cluster(s, { capacity: Capacity.onDemand(), instanceType: new InstanceType('m7g.large') }),
    /instanceType is for what is made where no capacity/,
  ],
  [
    'flow logs of somebody else’s network',
    (s) => cluster(s, { vpc: new Vpc(s, 'Vpc') as IVpc, flowLogs: logs(s) }),
    /flowLogs is for what is made where no vpc/,
  ],
  [
    'access logs of somebody else’s bucket',
    (s) => {
      const theirs = bucket(s);
      return new ImageStore(s, 'Store', { bucket: theirs, accessLogs: theirs });
    },
    /accessLogs is for what is made where no bucket/,
  ],
  [
    'a cluster of the same name in the stack',
    (s) => [cluster(s, {}), new ContainerCluster(s, 'Second')],
    /Test\/Second: clusterName wharf is that of Test\/Cluster, too/,
  ],
  [
    'a policy beside a builder, which would not heed it',
    (s) => {
      const made = builder(s, {});
      return new Wharf(s, 'Wharf', { store: made.store, builder: made, sourcePolicy: POLICY });
    },
    /Test\/Wharf: sourcePolicy is for what is made where no builder is given/,
  ],
  [
    'a builder for another processor than the instances',
    (s) => {
      const made = builder(s, { platform: 'linux/amd64' });
      return new Wharf(s, 'Wharf', { store: made.store, builder: made });
    },
    /Test\/Builder builds for linux\/amd64, and the instances of Test\/Wharf\/Capacity are linux\/arm64: give the builder/,
  ],
  [
    'a policy of which only the deployment knows a part',
    (s) => builder(s, { sourcePolicy: { rules: [{ action: 'DENY', selector: { identifier: Aws.REGION } }] } }),
    /sourcePolicy is known only when the stack is deployed/,
  ],
  ['a worker with no memory', (s) => worker(s, { memoryMiB: 1 }), /Test\/Worker: memoryMiB 1: .*of 6 or more/],
  ['a worker with less than no processor', (s) => worker(s, { cpu: -1 }), /cpu -1/],
  ['a front fewer than none', (s) => front(s, { count: -1 }), /Test\/Front: count -1/],
  ['a front with no memory', (s) => front(s, { memoryMiB: 8 }), /memoryMiB 8: .*of 128 or more/],
  [
    'a base beside an image',
    (s) => front(s, { image: ContainerImage.fromRegistry('front'), baseImage: 'node' }),
    /baseImage is for what is made where no image/,
  ],
  [
    'a prefix that ECR does not take',
    (s) => new Wharf(s, 'Wharf', { mirrorPrefix: 'Team A' }),
    /mirrorPrefix "Team A": /,
  ],
  [
    'no requests at all',
    (s) => new Edge(s, 'Edge', { controlPlane: new Wharf(s, 'Wharf').controlPlane, requestsPerSecond: 0 }),
    /Test\/Edge: requestsPerSecond 0/,
  ],
  ['a platform that is no URL', (s) => edgeAt(s, 'wharf.example.org'), /url wharf\.example\.org: .*as https:/],
  [
    'a certificate of a distribution without names',
    (s) => {
      const certificate = Certificate.fromCertificateArn(s, 'Certificate', 'arn:aws:acm:us-east-1:1:certificate/x');
      return new RegistryDomain(s, 'Domain', { edge: new Wharf(s, 'Wharf').edge, certificate });
    },
    /a certificate and a hostedZone are for domainNames, and there are none/,
  ],
  [
    'CloudFront in China, where it has no functions',
    (s) => {
      const china = new Stack(s, 'China', { env: { region: 'cn-north-1' } });
      return new RegistryDomain(china, 'Domain', { edge: new Wharf(china, 'Wharf').edge });
    },
    /Domain: CloudFront has no functions in cn-north-1: a RegistryFront/,
  ],
  [
    'a service on a cluster that cannot be',
    (s) => service(s, { clusterName: 'Team_A' }),
    /clusterName "Team_A" is not/,
  ],
  [
    'a stage that only the deployment knows',
    (s) => new DockerfileImage(s, 'Image', { directory: CONTEXT, target: Aws.REGION }),
    /Test\/Image: target is known only when the stack is deployed/,
  ],
])('%s is refused', (_, make, message) => {
  const { stack } = testStack();
  expect(() => make(stack)).toThrow(
    expect.objectContaining({ code: 'PROP_REFUSED', message: expect.stringMatching(message) }),
  );
});

test('what is no name of an image is refused', () => {
  const { stack } = testStack();
  expect(() => service(stack, { image: ServiceImage.fromRegistry('web::1') })).toThrow(/web::1/);
});

test('every refusal of the constructs has a code', () => {
  const files = readdirSync('lib/constructs').map((file) => readFileSync(`lib/constructs/${file}`, 'utf8'));
  expect(files.filter((text) => /throw new Error\(/.test(text))).toEqual([]);
});

describe('what only the deployment knows', () => {
  const number = (stack: Stack, name: string, value = 2048): number =>
    new CfnParameter(stack, name, { type: 'Number', default: value }).valueAsNumber;
  const text = (stack: Stack, name: string): string => new CfnParameter(stack, name, { default: 'x' }).valueAsString;

  test.each<[string, Make]>([
    [
      'numbers of capacity',
      (s) => {
        const [minInstances, maxInstances, volumeGiB] = [number(s, 'Min'), number(s, 'Max'), number(s, 'Volume')];
        const clusterName = text(s, 'Name');
        const capacity = cluster(s, { clusterName, minInstances, maxInstances, volumeGiB });
        new Wharf(s, 'Wharf', { capacity });
      },
    ],
    ['the most instances', (s) => new Wharf(s, 'Wharf', { capacity: cluster(s, { maxInstances: number(s, 'Max') }) })],
    [
      'sizes of a builder',
      (s) => {
        const [memoryMiB, scratchMiB, maxConcurrency] = [
          number(s, 'Memory'),
          number(s, 'Scratch'),
          number(s, 'Most', 4),
        ];
        builder(s, { memoryMiB, scratchMiB, maxConcurrency, platform: text(s, 'Platform') });
      },
    ],
    ['sizes of workers', (s) => worker(s, { cpu: number(s, 'Cpu'), memoryMiB: number(s, 'Memory') })],
    ['sizes of a front', (s) => front(s, { count: number(s, 'Count'), memoryMiB: number(s, 'Memory') })],
    [
      'arguments of a build',
      (s) => new DockerfileImage(s, 'Image', { directory: CONTEXT, buildArgs: { VERSION: text(s, 'Version') } }),
    ],
    [
      'texts of a service',
      (s) => {
        const edge = Edge.fromEdgeAttributes(s, 'Elsewhere', { url: text(s, 'Url'), deployTokenArn: text(s, 'Arn') });
        const image = ServiceImage.fromRegistry(text(s, 'Tag'));
        const [serviceName, clusterName, workingDirectory] = [text(s, 'Name'), text(s, 'Cluster'), text(s, 'Folder')];
        service(s, { edge, image, serviceName, clusterName, workingDirectory, env: { GREETING: text(s, 'Greeting') } });
      },
    ],
  ])('is taken as %s, and gets into the template', (_, make) => {
    const { stack, template } = testStack();
    make(stack);
    const { Parameters, ...rest } = template().toJSON() as { Parameters: Record<string, unknown> };
    const said = JSON.stringify(rest);
    expect(said).not.toMatch(/\$\{Token\[|e\+28\d/);
    const ours = Object.keys(Parameters).filter((name) => !/^(Bootstrap|SsmParameter)/.test(name));
    expect(ours.filter((name) => !said.includes(`"Ref":"${name}"`) && !said.includes(`\${${name}}`))).toEqual([]);
  });

  test('is refused where it would be lost in a text', () => {
    const { stack } = testStack();
    const ports = [{ container: number(stack, 'Port') }];
    expect(() => service(stack, { ports })).toThrow(/ports\.0\.container is known only when the stack is deployed/);
    expect(Token.isUnresolved(ports[0]?.container)).toBe(true);
    const { controlPlane } = new Wharf(stack, 'Wharf');
    const requestsPerSecond = number(stack, 'Rate');
    expect(() => new Edge(stack, 'Edge', { controlPlane, requestsPerSecond })).toThrow(
      /requestsPerSecond is known only/,
    );
  });
});

test('a platform beside another one copies its images under a prefix of its own', () => {
  const { stack, template } = testStack();
  const { controlPlane } = new Wharf(stack, 'Wharf', { mirrorPrefix: 'team/wharf' });
  expect(controlPlane).toBeInstanceOf(ControlPlane);
  expect(JSON.stringify(template().toJSON())).toMatch(/:repository\/team\/wharf\/\*/);
});
