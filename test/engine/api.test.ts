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
    });
    expect(await fixture.refused('DescribeServices', { services: [arn] })).toMatchObject({
      __type: 'InvalidParameterException',
    });
    expect(await fixture.refused('ListTasks', { cluster: 'none' })).toMatchObject({
      __type: 'ClusterNotFoundException',
    });
  });
});

describe('limits', () => {
  test.each([
    ['RunTask', { taskDefinition: 'web', count: 11 }],
    ['StartTask', { taskDefinition: 'web', containerInstances: Array.from({ length: 11 }, () => 'x') }],
    ['DescribeTasks', { tasks: Array.from({ length: 101 }, () => 'x') }],
    ['DescribeServices', { services: Array.from({ length: 11 }, () => 'x') }],
    ['ListTasks', { maxResults: 101 }],
    ['ListTasks', { nextToken: 'rubbish' }],
    ['CreateCluster', { clusterName: 'a b' }],
    ['CreateCluster', { tags: Array.from({ length: 51 }, (_, index) => ({ key: String(index), value: '' })) }],
    ['CreateCluster', { tags: [{ key: 'aws:x', value: '' }] }],
    ['RunTask', { taskDefinition: 'web', clientToken: 'x'.repeat(65) }],
    ['RunTask', { taskDefinition: 'web', group: 'service:x' }],
    ['RunTask', { taskDefinition: 'web', launchType: 'EC2', capacityProviderStrategy: [{ capacityProvider: 'x' }] }],
    ['RunTask', { taskDefinition: 'web', placementStrategy: [{ type: 'binpack', field: 'x' }] }],
    ['RunTask', { taskDefinition: 'web', overrides: { containerOverrides: [{ name: 'nobody' }] } }],
    ['CreateService', { serviceName: 's', taskDefinition: 'web' }],
    [
      'CreateService',
      {
        serviceName: 's',
        taskDefinition: 'web',
        desiredCount: 1,
        deploymentConfiguration: { minimumHealthyPercent: 100, maximumPercent: 100 },
      },
    ],
    ['RegisterContainerInstance', {}],
    ['UpdateContainerInstancesState', { containerInstances: ['x'], status: 'GONE' }],
  ])('%s refuses input beyond them (%#)', async (operation, input) => {
    await fixture.instance();
    await fixture.definition('web');
    expect(await fixture.refused(operation, input)).toMatchObject({ __type: 'InvalidParameterException', status: 400 });
  });
});

describe('RegisterTaskDefinition', () => {
  const container = { name: 'app', image: 'x', memory: 64 };
  test.each([
    [{ containerDefinitions: [{ ...container, mountPoints: [{ sourceVolume: 'v', containerPath: '/v' }] }] }, "'v'"],
    [{ volumes: [{ name: 'v', host: { sourcePath: '/etc' } }] }, 'host.sourcePath'],
    [{ volumes: [{ name: 'v', dockerVolumeConfiguration: { driver: 'nfs' } }] }, 'driver'],
    [{ volumes: [{ name: 'v', configuredAtLaunch: true }] }, 'configuredAtLaunch'],
    [{ containerDefinitions: [{ ...container, volumesFrom: [{ sourceContainer: 'x' }] }] }, "'x'"],
    [{ containerDefinitions: [{ ...container, links: ['x'] }] }, "'x'"],
    [{ networkMode: 'awsvpc', containerDefinitions: [{ ...container, hostname: 'h' }] }, 'hostname'],
    [{ networkMode: 'host', containerDefinitions: [{ ...container, disableNetworking: true }] }, 'disableNetworking'],
    [
      { containerDefinitions: [{ ...container, systemControls: [{ namespace: 'vm.swappiness', value: '1' }] }] },
      'systemControls',
    ],
    [{ containerDefinitions: [{ ...container, linuxParameters: { initProcessEnabled: true } }] }, 'initProcessEnabled'],
    [
      {
        containerDefinitions: [
          { ...container, linuxParameters: { tmpfs: [{ containerPath: '/t', size: 1, mountOptions: ['suid'] }] } },
        ],
      },
      'suid',
    ],
    [{ containerDefinitions: [{ ...container, portMappings: [{ containerPortRange: '9-1' }] }] }, '9-1'],
    [
      { containerDefinitions: [{ ...container, environmentFiles: [{ value: 'arn:aws:s3:::b/k.env', type: 's3' }] }] },
      'environmentFiles',
    ],
    [
      {
        containerDefinitions: [
          { ...container, logConfiguration: { logDriver: 'json-file', options: { 'max-size': '10x' } } },
        ],
      },
      'max-size',
    ],
    [{ containerDefinitions: [{ ...container, extraHosts: [{ hostname: 'a b', ipAddress: '10.0.0.1' }] }] }, 'a b'],
    [{ volumes: [{ name: 'v', efsVolumeConfiguration: { fileSystemId: 'fs' } }] }, 'EFS'],
    [
      {
        volumes: [
          {
            name: 'v',
            fsxWindowsFileServerVolumeConfiguration: {
              fileSystemId: 'fs',
              rootDirectory: 'x',
              authorizationConfig: {},
            },
          },
        ],
      },
      'FSx',
    ],
    [{ runtimePlatform: { operatingSystemFamily: 'WINDOWS_SERVER_2022_CORE' } }, 'Windows'],
    [{ containerDefinitions: [{ ...container, resourceRequirements: [{ type: 'GPU', value: '1' }] }] }, 'GPU'],
    [{ containerDefinitions: [{ ...container, secrets: [{ name: 'a', valueFrom: 'b' }] }] }, 'secrets'],
    [{ containerDefinitions: [{ ...container, logConfiguration: { logDriver: 'splunk' } }] }, 'logDriver'],
    [{ requiresCompatibilities: ['FARGATE'] }, 'requiresCompatibilities'],
    [{ containerDefinitions: [] }, 'Container list'],
    [{ containerDefinitions: [{ ...container, memory: 5 }] }, 'memory'],
    [{ containerDefinitions: [{ name: 'app', image: 'x' }] }, 'memory'],
    [{ containerDefinitions: [{ ...container, image: '' }] }, 'image'],
    [{ containerDefinitions: [{ ...container, essential: false }] }, 'essential'],
    [{ containerDefinitions: [container, container] }, 'unique'],
    [{ containerDefinitions: [{ ...container, dependsOn: [{ containerName: 'app', condition: 'START' }] }] }, 'circle'],
    [
      {
        containerDefinitions: [
          container,
          { ...container, name: 'b', dependsOn: [{ containerName: 'app', condition: 'SUCCESS' }] },
        ],
      },
      'essential',
    ],
    [{ memory: '32' }, '64 MiB'],
    [{ cpu: 'lots' }, 'cpu'],
    [{ containerDefinitions: [{ ...container, command: ['x'.repeat(65 * 1024)] }] }, '64 KiB'],
  ])('refuses what it cannot run, by name (%#)', async (change, word) => {
    const body = await fixture.refused('RegisterTaskDefinition', {
      family: 'f',
      containerDefinitions: [container],
      ...change,
    });
    expect(body).toMatchObject({ __type: 'ClientException', status: 400 });
    expect(body.message).toContain(word);
  });

  test('takes secrets only from an agent that has a source of them', async () => {
    const secrets = [{ name: 'PASSWORD', valueFrom: '/app/password' }];
    expect((await fixture.refused('RegisterTaskDefinition', definitionWith(secrets))).message).toContain('secrets');
    fixture.agent.abilities = { secrets: true, objects: false, init: false, hostPaths: [] };
    const bad = definitionWith([{ name: 'PASSWORD', valueFrom: 'arn:aws:s3:::bucket/key' }]);
    expect((await fixture.refused('RegisterTaskDefinition', bad)).message).toContain('Invalid secret PASSWORD');
    await fixture.ecs('RegisterTaskDefinition', definitionWith(secrets));
  });

  test('takes environment files only from an agent that reads objects, and only ARNs of some', async () => {
    const withFiles = (...files: string[]): object => ({
      family: 'filed',
      containerDefinitions: [
        { name: 'app', image: 'hello:1', memory: 64, environmentFiles: files.map((value) => ({ value, type: 's3' })) },
      ],
    });
    const good = 'arn:aws:s3:::bucket/folder/app.env';
    expect((await fixture.refused('RegisterTaskDefinition', withFiles(good))).message).toContain('environmentFiles');
    fixture.agent.abilities = { ...fixture.agent.abilities, objects: true };
    for (const bad of ['arn:aws:s3:::bucket/app.txt', 's3://bucket/app.env', 'arn:aws:s3:::bucket']) {
      expect((await fixture.refused('RegisterTaskDefinition', withFiles(bad))).message).toContain(
        `environmentFiles: "${bad}" is none`,
      );
    }
    const many = Array.from({ length: 11 }, () => good);
    expect((await fixture.refused('RegisterTaskDefinition', withFiles(...many))).message).toContain('at most 10');
    await fixture.ecs('RegisterTaskDefinition', withFiles(good));
    await fixture.instance();
    const environmentFiles = [{ value: 'arn:aws:s3:::bucket/other.env', type: 's3' }];
    const overrides = { containerOverrides: [{ name: 'app', environmentFiles }] };
    await fixture.ecs('RunTask', { taskDefinition: 'filed', overrides });
    await fixture.ecs('RunTask', { taskDefinition: 'filed' });
    expect(fixture.agent.runs.map(({ containers: [app] }) => app?.environmentFiles)).toEqual([
      ['arn:aws:s3:::bucket/other.env'],
      [good],
    ]);
  });

  test('takes folders of the host only below those that are allowed', async () => {
    fixture.agent.abilities = { secrets: false, objects: false, init: false, hostPaths: ['/srv/shared'] };
    const withPath = (sourcePath: string): object => ({
      ...definitionWith(undefined),
      volumes: [{ name: 'v', host: { sourcePath } }],
    });
    for (const path of ['/srv', '/srv/sharedness', '/srv/shared/../secret', 'srv/shared']) {
      expect((await fixture.refused('RegisterTaskDefinition', withPath(path))).message).toContain('host.sourcePath');
    }
    await fixture.ecs('RegisterTaskDefinition', withPath('/srv/shared/in'));
  });

  test('numbers revisions without gap, and lists, deregisters and deletes them', async () => {
    await Promise.all(Array.from({ length: 5 }, () => fixture.definition('web')));
    const list = async (input: object): Promise<string[]> =>
      ((await fixture.ecs('ListTaskDefinitions', input))['taskDefinitionArns'] as string[]).map(
        (arn) => arn.split('/').at(-1) ?? '',
      );
    expect(await list({ familyPrefix: 'web' })).toEqual(['web:1', 'web:2', 'web:3', 'web:4', 'web:5']);
    await fixture.ecs('DeregisterTaskDefinition', { taskDefinition: 'web:5' });
    expect(await fixture.ecs('DescribeTaskDefinition', { taskDefinition: 'web' })).toMatchObject({
      taskDefinition: { revision: 4 },
    });
    expect(await fixture.refused('RunTask', { taskDefinition: 'web:5' })).toMatchObject({ __type: 'ClientException' });
    const { taskDefinitions, failures } = await fixture.ecs('DeleteTaskDefinitions', {
      taskDefinitions: ['web:4', 'web:5', 'web:9'],
    });
    expect(taskDefinitions).toMatchObject([{ revision: 5, status: 'DELETE_IN_PROGRESS' }]);
    expect(failures?.map((failure) => failure.reason)).toEqual(['TASK_DEFINITION_ACTIVE', 'TASK_DEFINITION_NOT_FOUND']);
    expect((await fixture.ecs('ListTaskDefinitionFamilies'))['families']).toEqual(['web']);
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
    expect(await fixture.refused('PutAttributes', { attributes: [{ name: 'a', targetId: 'nobody' }] })).toMatchObject({
      __type: 'TargetNotFoundException',
    });
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

function definitionWith(secrets: readonly object[] | undefined): object {
  return { family: 'f', containerDefinitions: [{ name: 'app', image: 'hello:1', memory: 64, secrets }] };
}
