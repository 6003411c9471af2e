/**
 * The tables of docs/aws/constructs.md against the constructs themselves, cell by cell: what may be given, the rights, the
 * metrics, and how each is had from elsewhere. And that metrics and rights are what they are called.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { Duration, type Stack } from 'aws-cdk-lib';
import type { Metric, MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import { type IGrantable, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Construct, type IConstruct } from 'constructs';
import {
  ContainerCluster,
  ControlPlane,
  DockerfileImage,
  Edge,
  ImageBuilder,
  ImageStore,
  RegistryDomain,
  RegistryFront,
  Service,
  ServiceImage,
  Wharf,
} from '../../lib/constructs/index.js';
import * as constructs from '../../lib/constructs/index.js';
import { testStack } from './unbundled.js';

const PAGE = readFileSync('docs/aws/constructs.md', 'utf8');
/** Parts of others that nobody makes by themselves. */
const INNER = new Set(['GroupRemoval', 'RegistryBalancer', 'SandboxProbe', 'WharfFunction']);

type Class = Pick<Function, 'name' | 'prototype'>;
const CLASSES: readonly Class[] = Object.values(constructs as Record<string, unknown>).filter(
  (each): each is Class => typeof each === 'function' && each.prototype instanceof Construct && !INNER.has(each.name),
);

/** The rows of the table with this first line, by what their first cell names. */
function rowsOf(header: string): ReadonlyMap<string, readonly string[]> {
  const [, table = ''] = PAGE.split(`\n${header}\n`);
  const lines = table.split('\n\n')[0]?.split('\n').slice(1) ?? [];
  const rows = lines.map((line) => line.split('|').slice(1, -1));
  return new Map(rows.flatMap(([first = '', ...cells]) => namesIn(first).map((name) => [name, cells] as const)));
}

const namesIn = (cell = ''): string[] => [...cell.matchAll(/`([A-Za-z]+)`/g)].map(([, name = '']) => name);

const GIVEN = rowsOf('| Construct | What | Given, instead of made |');
const OFFERED = rowsOf('| Construct | Rights | Metrics (`metric…`) | From elsewhere |');

/** Methods of a class and of those below it that are Wharf's, by how their names begin. */
function methodsOf({ prototype }: Class, prefix: string): string[] {
  const names: string[] = [];
  for (let each = prototype as object; each !== Construct.prototype; each = Object.getPrototypeOf(each) as object) {
    names.push(...Object.getOwnPropertyNames(each).filter((name) => name.startsWith(prefix)));
  }
  return [...new Set(names)].sort();
}

function call(construct: IConstruct, method: string, argument: unknown): unknown {
  return (Reflect.get(construct, method) as (argument: unknown) => unknown).call(construct, argument);
}

const token = 'arn:aws:secretsmanager:eu-central-1:111111111111:secret:Token-AbCdEf';

/** One of each that has rights or metrics. */
function oneOfEach(stack: Stack): readonly IConstruct[] {
  const wharf = new Wharf(stack, 'Wharf');
  const { store, builder, capacity, controlPlane, edge, workers, collector } = wharf;
  const image = new DockerfileImage(stack, 'Image', { directory: 'examples/cdk-dockerfile-image/app', builder });
  const web = new Service(stack, 'Web', { edge, image: ServiceImage.fromRegistry('web:1') });
  return [
    ...[wharf, store, builder, capacity, controlPlane, edge, workers, collector, image, image.provider, web.provider],
    new RegistryFront(stack, 'Front', { store, builder, capacity, plainHttp: true }),
    new RegistryDomain(stack, 'Domain', { edge }),
  ];
}

describe('the page of the constructs', () => {
  test('has a row for each that can be made, and no other', () => {
    const names = CLASSES.map(({ name }) => name);
    expect([...GIVEN.keys()].sort()).toEqual(names.toSorted());
    expect([...OFFERED.keys()].filter((name) => !names.includes(name))).toEqual([]);
  });

  test.each(CLASSES.map((each) => [each.name, each] as const))('tells all that %s offers', (name, each) => {
    const [rights, metrics, elsewhere] = OFFERED.get(name) ?? [];
    expect(namesIn(rights).sort()).toEqual(methodsOf(each, 'grant'));
    expect(
      namesIn(metrics)
        .map((metric) => `metric${metric}`)
        .sort(),
    ).toEqual(methodsOf(each, 'metric'));
    const imports = Object.getOwnPropertyNames(each).filter((method) => method.startsWith('from'));
    expect(namesIn(elsewhere).filter((method) => method.startsWith('from'))).toEqual(imports);
  });

  test.each([...GIVEN])('names as given to %s what are props of it', (name, [, given = '']) => {
    const file = name.replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => `-${letter}`).toLowerCase();
    const text = readFileSync(`lib/constructs/${file}.ts`, 'utf8');
    const [, body = ''] = new RegExp(`export interface ${name}Props \\{\\n([\\s\\S]*?)\\n\\}`).exec(text) ?? [];
    const props = new Set([...body.matchAll(/ readonly (\w+)\??:/g)].map(([, prop]) => prop));
    const named = namesIn(given.replaceAll(/`(Capacity)?\.\w+`|`ICapacity`/g, ''));
    expect(named.filter((prop) => !props.has(prop))).toEqual([]);
    expect(props.size).toBeGreaterThan(0);
  });
});

describe('what the constructs offer', () => {
  /** Names of CloudWatch, as the services document them; those of `Wharf` are written by the functions. */
  const OF_AWS = new Set([
    ...['Errors', 'Duration', 'ApproximateNumberOfMessagesVisible', 'ApproximateAgeOfOldestMessage', 'BucketSizeBytes'],
    ...[
      'TaskCount',
      'ContainerInstanceCount',
      'MemoryUtilized',
      'CapacityProviderReservation',
      'Count',
      '5xx',
      'Latency',
    ],
    ...['RequestCount', 'HTTPCode_Target_5XX_Count', 'HealthyHostCount', 'Requests', '5xxErrorRate'],
  ]);
  const written = ['lib/platform/reconciler.ts', 'lib/host/aws/collector.ts', 'lib/host/aws/builder.ts']
    .map((file) => readFileSync(file, 'utf8'))
    .join();

  test('as metrics is counted somewhere, of something, and takes the options of CDK', () => {
    const { stack } = testStack();
    const all = oneOfEach(stack).flatMap((each) =>
      methodsOf(each.constructor, 'metric').map((method) => {
        const options: MetricOptions = { label: 'Mine', period: Duration.minutes(1), statistic: 'Minimum' };
        return [`${each.constructor.name}.${method}`, call(each, method, options) as Metric] as const;
      }),
    );
    expect(all.length).toBeGreaterThan(25);
    for (const [name, { namespace, metricName, dimensions = {}, label, period, statistic }] of all) {
      const isCounted = namespace === 'Wharf' ? written.includes(`'${metricName}'`) : OF_AWS.has(metricName);
      expect([name, metricName, isCounted]).toEqual([name, metricName, true]);
      expect([name, label, period.toSeconds(), statistic]).toEqual([name, 'Mine', 60, 'Minimum']);
      expect([name, Object.keys(dimensions).length > 0]).toEqual([name, true]);
    }
  });

  test('as rights is given to whom it is granted, on something', () => {
    const { stack, template } = testStack();
    const grants = oneOfEach(stack).flatMap((each) =>
      methodsOf(each.constructor, 'grant').map((method) => [each, method] as const),
    );
    const ids = grants.map(([each, method], index) => {
      const role: IGrantable = new Role(stack, `Grantee${index}`, {
        assumedBy: new ServicePrincipal('ec2.amazonaws.com'),
      });
      call(each, method, role);
      return `Grantee${index}DefaultPolicy`;
    });
    const policies = Object.entries(template().findResources('AWS::IAM::Policy'));
    const without = ids.filter((id) => !policies.some(([name]) => name.startsWith(id)));
    expect([grants.length >= 9, without]).toEqual([true, []]);
  });

  test('is offered by what is imported as well, as far as its attributes tell', () => {
    const { stack } = testStack();
    const store = ImageStore.fromImageStoreAttributes(stack, 'Store', {
      ...{ bucketName: 'blobs', tableName: 'records', sealingKeyArn: token, adminTokenArn: token },
    });
    const queueArn = 'arn:aws:sqs:eu-central-1:111111111111:builds';
    const builder = ImageBuilder.fromImageBuilderAttributes(stack, 'Builder', { store, queueArn });
    const cluster = ContainerCluster.fromContainerClusterAttributes(stack, 'Cluster', {
      ...{ clusterName: 'team', capacityProviderName: 'spot', platform: 'linux/arm64', maxInstances: 4 },
    });
    const controlPlane = ControlPlane.fromControlPlaneAttributes(stack, 'ControlPlane', { deployTokenArn: token });
    const edge = Edge.fromEdgeAttributes(stack, 'Edge', { url: 'https://x.example.org', deployTokenArn: token });
    const metrics = [
      ...[store.metricStoredBytes(), builder.metricWaitingBuilds(), builder.metricOldestBuildAge()],
      ...[cluster.metricRunningTasks(), cluster.metricInstances(), cluster.metricCapacityReservation()],
    ];
    expect(metrics.map(({ dimensions }) => Object.values(dimensions ?? {})[0])).toEqual([
      ...['blobs', 'builds', 'builds', 'team', 'team', 'team'],
    ]);
    const role = new Role(stack, 'Role', { assumedBy: new ServicePrincipal('ec2.amazonaws.com') });
    store.grantReadWrite(role);
    builder.grantBuild(role);
    for (const each of [controlPlane, edge]) each.grantDeploy(role);
    controlPlane.grantPull(role);
  });
});
