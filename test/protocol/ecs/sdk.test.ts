/** The unmodified @aws-sdk/client-ecs against the engine: shapes, times, waiters, paginators, errors. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  ClientException,
  ClusterNotFoundException,
  ConflictException,
  CreateCapacityProviderCommand,
  CreateClusterCommand,
  CreateServiceCommand,
  DeleteClusterCommand,
  DeleteServiceCommand,
  DescribeClustersCommand,
  DescribeContainerInstancesCommand,
  DescribeServiceDeploymentsCommand,
  DescribeServiceRevisionsCommand,
  DescribeServicesCommand,
  DescribeTaskDefinitionCommand,
  DescribeTasksCommand,
  ExecuteCommandCommand,
  InvalidParameterException,
  ListServiceDeploymentsCommand,
  ListTagsForResourceCommand,
  PutAccountSettingCommand,
  PutAttributesCommand,
  PutClusterCapacityProvidersCommand,
  RegisterContainerInstanceCommand,
  RegisterTaskDefinitionCommand,
  RunTaskCommand,
  StopTaskCommand,
  TagResourceCommand,
  UnsupportedFeatureException,
  UntagResourceCommand,
  UpdateServiceCommand,
  paginateListTaskDefinitions,
  paginateListTasks,
  waitUntilServicesInactive,
  waitUntilServicesStable,
  waitUntilTasksRunning,
  waitUntilTasksStopped,
} from '@aws-sdk/client-ecs';
import { startEcsServer, type EcsServer } from './ecs-server.js';

let server: EcsServer;
const soon = { maxWaitTime: 20, minDelay: 1, maxDelay: 1 };

beforeAll(async () => {
  server = await startEcsServer();
  await server.client.send(new CreateClusterCommand({ clusterName: 'main', tags: [{ key: 'team', value: 'blue' }] }));
  for (const zone of ['a', 'b']) {
    await server.client.send(
      new RegisterContainerInstanceCommand({
        cluster: 'main',
        totalResources: [
          { name: 'CPU', type: 'INTEGER', integerValue: 2048 },
          { name: 'MEMORY', type: 'INTEGER', integerValue: 4096 },
        ],
        attributes: [{ name: 'ecs.availability-zone', value: `eu-central-1${zone}` }],
      }),
    );
  }
  await server.client.send(
    new RegisterTaskDefinitionCommand({
      family: 'web',
      containerDefinitions: [{ name: 'app', image: 'hello:1', memory: 64, portMappings: [{ containerPort: 80 }] }],
    }),
  );
});
afterAll(() => server.close());

describe('the SDK', () => {
  test('reads a cluster, its counts and tags', async () => {
    const { clusters, failures } = await server.client.send(
      new DescribeClustersCommand({ clusters: ['main', 'nowhere'], include: ['TAGS', 'STATISTICS'] }),
    );
    expect(clusters).toMatchObject([
      {
        clusterArn: 'arn:aws:ecs:eu-central-1:123456789012:cluster/main',
        status: 'ACTIVE',
        registeredContainerInstancesCount: 2,
        tags: [{ key: 'team', value: 'blue' }],
      },
    ]);
    expect(failures).toMatchObject([{ reason: 'MISSING' }]);
  });

  test('runs a task, waits for it, reads its times as dates, stops it', async () => {
    const startedAfter = Date.now() - 1000;
    const { tasks } = await server.client.send(
      new RunTaskCommand({ cluster: 'main', taskDefinition: 'web', launchType: 'EC2' }),
    );
    const arn = tasks?.[0]?.taskArn ?? '';
    expect(arn).toMatch(/^arn:aws:ecs:eu-central-1:123456789012:task\/main\/[0-9a-f]{32}$/);
    const running = await waitUntilTasksRunning({ client: server.client, ...soon }, { cluster: 'main', tasks: [arn] });
    expect(running.state).toBe('SUCCESS');
    const described = await server.client.send(new DescribeTasksCommand({ cluster: 'main', tasks: [arn] }));
    const task = described.tasks?.[0];
    expect(task?.startedAt?.getTime()).toBeGreaterThan(startedAfter);
    expect(task?.startedAt?.getTime()).toBeLessThan(Date.now() + 1000);
    expect(task?.containers?.[0]?.networkBindings?.[0]?.hostPort).toBeGreaterThan(1024);
    await server.client.send(new StopTaskCommand({ cluster: 'main', task: arn, reason: 'done' }));
    const stopped = await waitUntilTasksStopped({ client: server.client, ...soon }, { cluster: 'main', tasks: [arn] });
    expect(stopped.state).toBe('SUCCESS');
  });

  test('creates, rolls over and deletes a service with the waiters', async () => {
    const of = { cluster: 'main', services: ['site'] };
    await server.client.send(
      new CreateServiceCommand({ cluster: 'main', serviceName: 'site', taskDefinition: 'web', desiredCount: 2 }),
    );
    expect((await waitUntilServicesStable({ client: server.client, ...soon }, of)).state).toBe('SUCCESS');
    await server.client.send(new UpdateServiceCommand({ cluster: 'main', service: 'site', forceNewDeployment: true }));
    expect((await waitUntilServicesStable({ client: server.client, ...soon }, of)).state).toBe('SUCCESS');
    const { services } = await server.client.send(new DescribeServicesCommand(of));
    const service = services?.[0];
    expect(service).toMatchObject({
      runningCount: 2,
      deployments: [{ status: 'PRIMARY', rolloutState: 'COMPLETED' }],
      deploymentConfiguration: { minimumHealthyPercent: 100, maximumPercent: 200 },
    });
    expect(service?.createdAt).toBeInstanceOf(Date);
    expect(service?.events?.[0]?.message).toBe('(service site) has reached a steady state.');

    const list = await server.client.send(new ListServiceDeploymentsCommand({ cluster: 'main', service: 'site' }));
    expect(list.serviceDeployments?.map((deployment) => deployment.status)).toEqual(['SUCCESSFUL', 'SUCCESSFUL']);
    const [latest] = list.serviceDeployments ?? [];
    const detail = await server.client.send(
      new DescribeServiceDeploymentsCommand({ serviceDeploymentArns: [latest?.serviceDeploymentArn ?? ''] }),
    );
    expect(detail.serviceDeployments?.[0]?.sourceServiceRevisions).toHaveLength(1);
    const revisions = await server.client.send(
      new DescribeServiceRevisionsCommand({ serviceRevisionArns: [latest?.targetServiceRevisionArn ?? ''] }),
    );
    expect(revisions.serviceRevisions?.[0]).toMatchObject({
      containerImages: [{ containerName: 'app', image: 'hello:1' }],
    });

    await server.client.send(new DeleteServiceCommand({ cluster: 'main', service: 'site', force: true }));
    expect((await waitUntilServicesInactive({ client: server.client, ...soon }, of)).state).toBe('SUCCESS');
  });

  test('pages through lists', async () => {
    await server.client.send(
      new RunTaskCommand({ cluster: 'main', taskDefinition: 'web', count: 5, startedBy: 'pages' }),
    );
    const arns: string[] = [];
    const pages = paginateListTasks({ client: server.client, pageSize: 2 }, { cluster: 'main', startedBy: 'pages' });
    for await (const page of pages) arns.push(...(page.taskArns ?? []));
    expect(new Set(arns).size).toBe(5);
    for (let revision = 0; revision < 3; revision += 1) {
      await server.client.send(
        new RegisterTaskDefinitionCommand({
          family: 'paged',
          containerDefinitions: [{ name: 'app', image: 'hello:1', memory: 64 }],
        }),
      );
    }
    const down: string[] = [];
    const descending = paginateListTaskDefinitions(
      { client: server.client, pageSize: 1 },
      { familyPrefix: 'paged', sort: 'DESC' },
    );
    for await (const page of descending) down.push(...(page.taskDefinitionArns ?? []));
    expect(down.map((arn) => arn.split(':').at(-1))).toEqual(['3', '2', '1']);
  });

  test('gets back every member of a task definition that it registered', async () => {
    const input = {
      family: 'full',
      taskRoleArn: 'arn:aws:iam::123456789012:role/task',
      executionRoleArn: 'arn:aws:iam::123456789012:role/execution',
      networkMode: 'bridge' as const,
      requiresCompatibilities: ['EC2' as const],
      cpu: '512',
      memory: '1024',
      runtimePlatform: { cpuArchitecture: 'X86_64' as const, operatingSystemFamily: 'LINUX' as const },
      placementConstraints: [{ type: 'memberOf' as const, expression: 'attribute:ecs.os-type == linux' }],
      containerDefinitions: [
        {
          name: 'app',
          image: 'hello@sha256:' + 'a'.repeat(64),
          cpu: 256,
          memory: 512,
          memoryReservation: 256,
          portMappings: [
            { containerPort: 80, hostPort: 0, protocol: 'tcp' as const, name: 'http', appProtocol: 'http' as const },
          ],
          essential: true,
          entryPoint: ['/bin/app'],
          command: ['serve'],
          environment: [{ name: 'A', value: '1' }],
          dependsOn: [{ containerName: 'init', condition: 'SUCCESS' as const }],
          startTimeout: 30,
          stopTimeout: 5,
          user: '1000:1000',
          workingDirectory: '/srv',
          privileged: false,
          readonlyRootFilesystem: true,
          dockerLabels: { a: 'b' },
          ulimits: [{ name: 'nofile' as const, softLimit: 1024, hardLimit: 2048 }],
          logConfiguration: { logDriver: 'awslogs' as const, options: { 'awslogs-group': '/x' } },
          healthCheck: { command: ['CMD', 'true'], interval: 5, timeout: 2, retries: 2, startPeriod: 1 },
          linuxParameters: { capabilities: { add: ['NET_ADMIN'], drop: ['ALL'] } },
          mountPoints: [],
          volumesFrom: [],
          systemControls: [],
        },
        {
          name: 'init',
          image: 'hello:1',
          cpu: 0,
          memory: 16,
          portMappings: [],
          essential: false,
          environment: [],
          mountPoints: [],
          volumesFrom: [],
          systemControls: [],
        },
      ],
      volumes: [],
    };
    const tags = [{ key: 'k', value: 'v' }];
    await server.client.send(new RegisterTaskDefinitionCommand({ ...input, tags }));
    const described = await server.client.send(
      new DescribeTaskDefinitionCommand({ taskDefinition: 'full', include: ['TAGS'] }),
    );
    expect(described.tags).toEqual(tags);
    expect(described.taskDefinition).toMatchObject(input);
    expect(described.taskDefinition).toMatchObject({ revision: 1, status: 'ACTIVE' });
    expect(described.taskDefinition?.registeredAt).toBeInstanceOf(Date);
  });

  test('tags, untags, sets attributes, settings and capacity providers', async () => {
    const { containerInstances } = await server.client.send(
      new DescribeContainerInstancesCommand({ cluster: 'main', containerInstances: [await anInstance()] }),
    );
    const arn = containerInstances?.[0]?.containerInstanceArn ?? '';
    await server.client.send(new TagResourceCommand({ resourceArn: arn, tags: [{ key: 'a', value: '1' }] }));
    await server.client.send(new TagResourceCommand({ resourceArn: arn, tags: [{ key: 'b', value: '2' }] }));
    await server.client.send(new UntagResourceCommand({ resourceArn: arn, tagKeys: ['a'] }));
    expect((await server.client.send(new ListTagsForResourceCommand({ resourceArn: arn }))).tags).toEqual([
      { key: 'b', value: '2' },
    ]);
    const put = await server.client.send(
      new PutAttributesCommand({ cluster: 'main', attributes: [{ name: 'stack', value: 'x', targetId: arn }] }),
    );
    expect(put.attributes).toMatchObject([{ name: 'stack', value: 'x', targetId: arn }]);
    const { setting } = await server.client.send(
      new PutAccountSettingCommand({ name: 'containerInsights', value: 'enabled' }),
    );
    expect(setting).toMatchObject({ name: 'containerInsights', value: 'enabled', type: 'user' });
    await server.client.send(
      new CreateCapacityProviderCommand({
        name: 'group',
        autoScalingGroupProvider: { autoScalingGroupArn: 'arn:aws:autoscaling:eu-central-1:1:autoScalingGroup:x' },
      }),
    );
    const { cluster } = await server.client.send(
      new PutClusterCapacityProvidersCommand({
        cluster: 'main',
        capacityProviders: ['group'],
        defaultCapacityProviderStrategy: [{ capacityProvider: 'group', weight: 1 }],
      }),
    );
    expect(cluster?.capacityProviders).toEqual(['group']);
  });

  test('sees its errors as the classes it knows', async () => {
    const { client } = server;
    await expect(client.send(new RunTaskCommand({ cluster: 'nowhere', taskDefinition: 'web' }))).rejects.toThrow(
      ClusterNotFoundException,
    );
    await expect(client.send(new RunTaskCommand({ cluster: 'main', taskDefinition: 'none' }))).rejects.toThrow(
      ClientException,
    );
    await expect(
      client.send(new RunTaskCommand({ cluster: 'main', taskDefinition: 'web', count: 11 })),
    ).rejects.toThrow(InvalidParameterException);
    await expect(
      client.send(new RunTaskCommand({ cluster: 'main', taskDefinition: 'web', launchType: 'FARGATE' })),
    ).rejects.toThrow(UnsupportedFeatureException);
    await expect(
      client.send(new ExecuteCommandCommand({ cluster: 'main', task: 'x', command: 'sh', interactive: true })),
    ).rejects.toThrow(ClientException);
    await expect(client.send(new DeleteClusterCommand({ cluster: 'main' }))).rejects.toMatchObject({
      name: 'ClusterContainsContainerInstancesException',
    });
    const token = { cluster: 'main', taskDefinition: 'web', launchType: 'EC2', clientToken: 'same' } as const;
    const { tasks } = await client.send(new RunTaskCommand(token));
    const clash = client.send(new RunTaskCommand({ ...token, count: 2 }));
    await expect(clash).rejects.toThrow(ConflictException);
    await expect(clash).rejects.toMatchObject({ resourceIds: [tasks?.[0]?.taskArn] });
  });
});

async function anInstance(): Promise<string> {
  const { tasks } = await server.client.send(new RunTaskCommand({ cluster: 'main', taskDefinition: 'web' }));
  return tasks?.[0]?.containerInstanceArn ?? '';
}
