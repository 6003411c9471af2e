/** The wire and the edges of the API: what is refused, how, and that nothing a client sends makes a 500. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import * as sdk from '@aws-sdk/client-ecs';
import * as fc from 'fast-check';
import { OPERATIONS, SERVED } from '../../lib/engine/api/operations.js';
import { createEngineFixture, type EngineFixture } from './engine-fixture.js';

let fixture: EngineFixture;
beforeEach(async () => {
  fixture = await createEngineFixture({ auto: true });
});
afterEach(() => fixture.close());

const raw = (headers: Record<string, string>, body: string, method = 'POST'): Promise<Response> =>
  fixture.engine.fetch(new Request('http://engine/', { method, headers, ...(method === 'GET' ? {} : { body }) }));
const target = (operation: string): Record<string, string> => ({
  'x-amz-target': `AmazonEC2ContainerServiceV20141113.${operation}`,
});

describe('the operation table', () => {
  test('knows every operation of the SDK, served or refused', () => {
    const commands = Object.keys(sdk)
      .filter((name) => name.endsWith('Command') && name !== '$Command')
      .map((name) => name.replace(/Command$/, ''));
    expect(commands.length).toBeGreaterThan(70);
    expect(commands.filter((name) => name !== 'Execute' && !OPERATIONS.has(name)).sort()).toEqual([]);
    expect([...OPERATIONS.keys()].filter((name) => !commands.includes(name))).toEqual([]);
  });

  test('refuses what is not built by name', async () => {
    for (const name of OPERATIONS.keys()) {
      if (name in SERVED) continue;
      const body = await fixture.refused(name, {});
      expect(body['status']).toBe(400);
      expect(body['__type']).toMatch(/^(UnsupportedFeature|Client)Exception$/);
      expect(body.message).toContain(`${name} is not supported`);
    }
  });
});

describe('the wire', () => {
  test('names every answer and says what it is', async () => {
    const response = await raw(target('ListClusters'), '');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/x-amz-json-1.1');
    expect(response.headers.get('x-amzn-requestid')).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  });

  test.each([
    [{}, '{}', 'POST', 'UnknownOperationException'],
    [target('MakeCoffee'), '{}', 'POST', 'UnknownOperationException'],
    [target('ListClusters'), '{}', 'GET', 'UnknownOperationException'],
    [target('ListClusters'), '{"a"', 'POST', 'SerializationException'],
    [target('ListClusters'), '[]', 'POST', 'SerializationException'],
    [target('ListClusters'), 'x'.repeat(1024 * 1024 + 1), 'POST', 'SerializationException'],
  ])('answers bad requests with 400 (%#)', async (headers, body, method, type) => {
    const response = await raw(headers, body, method);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ __type: type });
    expect(response.headers.get('x-amzn-errortype')).toBe(type);
  });

  test('takes null for absent and leaves unknown members alone', async () => {
    expect(await fixture.ecs('CreateCluster', { clusterName: 'x', tags: null, futureMember: { a: 1 } })).toMatchObject({
      cluster: { clusterName: 'x', tags: [] },
    });
  });

  test('never answers a client with a 500', async () => {
    await fixture.instance();
    await fixture.definition('web');
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 1 });
    const names = fc.constantFrom(
      'cluster',
      'clusters',
      'clusterName',
      'service',
      'services',
      'serviceName',
      'task',
      'tasks',
      'taskDefinition',
      'taskDefinitions',
      'family',
      'containerDefinitions',
      'containerInstance',
      'containerInstances',
      'attributes',
      'totalResources',
      'desiredCount',
      'count',
      'status',
      'filter',
      'nextToken',
      'maxResults',
      'tags',
      'resourceArn',
      'tagKeys',
      'placementConstraints',
      'placementStrategy',
      'overrides',
      'name',
      'value',
      'force',
      'loadBalancers',
      'deploymentConfiguration',
      'targetType',
      'serviceDeploymentArns',
      'serviceRevisionArns',
      'protectionEnabled',
    );
    const values = fc.oneof(
      fc.constantFrom<unknown>(
        'default',
        'web',
        'web:1',
        'ACTIVE',
        '',
        'arn:aws:ecs:x:1:task/default/abc',
        'arn:aws:ecs:x:1:service/a/b',
        ['web'],
        ['default'],
        [''],
        [null],
        [{ name: 'app', image: 'x', memory: 6 }],
        { containerOverrides: [{}] },
        [{ type: 'memberOf', expression: 'x' }],
        [{ name: 'CPU', integerValue: 1 }],
        true,
        1,
        -1,
        1e20,
      ),
      fc.jsonValue({ maxDepth: 2 }),
    );
    const served = fc.constantFrom(...Object.keys(SERVED));
    await fc.assert(
      fc.asyncProperty(served, fc.dictionary(names, values, { maxKeys: 6 }), async (operation, input) => {
        const response = await raw(target(operation), JSON.stringify(input));
        expect([200, 400]).toContain(response.status);
      }),
      { numRuns: 300 },
    );
  }, 60_000);
});

describe('identifiers', () => {
  test.each(['', 'a\0b', 'x'.repeat(256), 'arn:aws:ecs:x:1:container-instance/default/'])(
    'that cannot name anything are refused: %j',
    async (name) => {
      await expect(fixture.ecs('DescribeContainerInstances', { containerInstances: [name] })).rejects.toThrow(
        'InvalidParameterException',
      );
    },
  );

  test('may be names or ARNs, but not of another cluster or kind', async () => {
    await fixture.instance();
    const definition = await fixture.definition('web');
    await fixture.ecs('CreateCluster', { clusterName: 'other' });
    const { tasks } = await fixture.ecs('RunTask', {
      cluster: 'arn:aws:ecs:eu-central-1:123456789012:cluster/default',
      taskDefinition: definition,
    });
    const arn = tasks?.[0]?.taskArn ?? '';
    expect(await fixture.refused('DescribeTasks', { cluster: 'other', tasks: [arn] })).toMatchObject({
      __type: 'InvalidParameterException',
      message: 'Invalid identifier: Identifier is for cluster default. Your cluster is other',
    });
    expect(await fixture.refused('DescribeServices', { services: [arn] })).toMatchObject({
      __type: 'InvalidParameterException',
    });
    expect(await fixture.refused('ListTasks', { cluster: 'none' })).toMatchObject({
      __type: 'ClusterNotFoundException',
    });
  });

  test.each([
    ['region', 'eu-west-1:123456789012', /^Invalid Region in ARN: "eu-west-1" .*; this is eu-central-1\.$/],
    ['account', 'eu-central-1:210987654321', /^Invalid account in ARN: "210987654321" .*; this is 123456789012\.$/],
  ])('of another %s are not taken for ours', async (_, where, words) => {
    await fixture.definition('web');
    const arn = (path: string): string => `arn:aws:ecs:${where}:${path}`;
    for (const [operation, input] of [
      ['DescribeClusters', { clusters: [arn('cluster/default')] }],
      ['ListTasks', { cluster: arn('cluster/default') }],
      ['DescribeTasks', { tasks: [arn(`task/default/${'f'.repeat(32)}`)] }],
      ['DescribeTaskDefinition', { taskDefinition: arn('task-definition/web:1') }],
      ['ListTagsForResource', { resourceArn: arn('cluster/default') }],
      ['DescribeServiceDeployments', { serviceDeploymentArns: [arn('service-deployment/default/web/abc')] }],
    ] as const) {
      const refused = { __type: 'InvalidParameterException', message: expect.stringMatching(words) as unknown };
      expect([operation, await fixture.refused(operation, input)]).toMatchObject([operation, refused]);
    }
  });

  test('of tasks and instances have a length, as empty variables of scripts are told', async () => {
    expect(await fixture.refused('DescribeTasks', { tasks: ['None'] })).toMatchObject({
      message: 'taskId length should be one of [32,36]',
    });
    expect(await fixture.refused('DescribeContainerInstances', { containerInstances: ['None'] })).toMatchObject({
      message: 'instanceId length should be one of [32,36]',
    });
  });
});

describe('container instances', () => {
  test('are listed by the query language', async () => {
    const [one] = [
      await fixture.instance({ attributes: [{ name: 'stack', value: 'prod' }] }),
      await fixture.instance({ attributes: [{ name: 'stack', value: 'dev' }] }),
    ];
    const { containerInstanceArns } = await fixture.ecs('ListContainerInstances', {
      filter: 'attribute:stack == prod',
    });
    expect(containerInstanceArns).toEqual([one]);
    expect(await fixture.refused('ListContainerInstances', { filter: 'stack = prod' })).toMatchObject({
      __type: 'InvalidParameterException',
    });
  });

  test('take at most ten attributes of their own', async () => {
    const targetId = await fixture.instance();
    const attributes = (from: number): object[] =>
      Array.from({ length: 6 }, (_, index) => ({ name: `a${String(from + index)}`, value: 'x', targetId }));
    await fixture.ecs('PutAttributes', { attributes: attributes(0) });
    expect(await fixture.refused('PutAttributes', { attributes: attributes(6) })).toMatchObject({
      __type: 'AttributeLimitExceededException',
    });
    expect(
      await fixture.ecs('ListAttributes', { targetType: 'container-instance', attributeName: 'a1' }),
    ).toMatchObject({
      attributes: [{ name: 'a1', value: 'x', targetId }],
    });
    const nobodys = { attributes: [{ name: 'a', targetId: 'f'.repeat(32) }] };
    expect(await fixture.refused('PutAttributes', nobodys)).toMatchObject({ __type: 'TargetNotFoundException' });
  });
});

describe('clusters', () => {
  test('are created once, and deleted when they are empty', async () => {
    await fixture.ecs('CreateCluster', { clusterName: 'c', tags: [{ key: 'a', value: 'b' }] });
    expect(await fixture.ecs('CreateCluster', { clusterName: 'c' })).toMatchObject({
      cluster: { tags: [{ key: 'a' }] },
    });
    await fixture.instance();
    expect(await fixture.refused('DeleteCluster', { cluster: 'default' })).toMatchObject({
      __type: 'ClusterContainsContainerInstancesException',
    });
    expect(await fixture.ecs('DeleteCluster', { cluster: 'c' })).toMatchObject({ cluster: { status: 'INACTIVE' } });
    expect(await fixture.refused('ListTasks', { cluster: 'c' })).toMatchObject({ __type: 'ClusterNotFoundException' });
    expect(await fixture.ecs('DescribeClusters', { clusters: ['c'] })).toMatchObject({
      clusters: [{ status: 'INACTIVE' }],
    });
    expect(await fixture.ecs('CreateCluster', { clusterName: 'c' })).toMatchObject({
      cluster: { status: 'ACTIVE', tags: [] },
    });
  });
});

describe('CreateService', () => {
  test('again is the same service, with other input it is refused', async () => {
    await fixture.instance();
    await fixture.definition('web');
    const input = { serviceName: 's', taskDefinition: 'web', desiredCount: 1 };
    const first = (await fixture.ecs('CreateService', input)).service;
    expect((await fixture.ecs('CreateService', input)).service?.deployments[0]?.id).toBe(first?.deployments[0]?.id);
    expect(await fixture.refused('CreateService', { ...input, desiredCount: 2 })).toMatchObject({
      __type: 'InvalidParameterException',
      message: 'Creation of service was not idempotent.',
    });
  });
});
