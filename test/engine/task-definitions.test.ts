/** What RegisterTaskDefinition takes, what it refuses and by which name, and what becomes of revisions. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createEngineFixture, type EngineFixture } from './engine-fixture.js';

let fixture: EngineFixture;
beforeEach(async () => {
  fixture = await createEngineFixture({ auto: true });
});
afterEach(() => fixture.close());

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
    [{ containerDefinitions: [{ ...container, portMappings: [{ containerPortRange: '9-9' }] }] }, '9-9'],
    [
      {
        containerDefinitions: [
          { ...container, portMappings: [{ containerPortRange: '80-89' }, { containerPortRange: '89-99' }] },
        ],
      },
      'overlaps 80-89',
    ],
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

  test.each([
    ['bridge', 0],
    ['host', 80],
    ['awsvpc', 80],
  ])('in mode %s shows a port that was left open as %i', async (networkMode, hostPort) => {
    const portMappings = [{ containerPort: 80 }, { containerPort: 81, hostPort: 81 }, { containerPortRange: '90-91' }];
    const containerDefinitions = [{ ...container, portMappings: portMappings.slice(0, hostPort === 0 ? 3 : 2) }];
    await fixture.ecs('RegisterTaskDefinition', { family: 'f', networkMode, containerDefinitions });
    const { taskDefinition } = await fixture.ecs('DescribeTaskDefinition', { taskDefinition: 'f' });
    const [shown] = (taskDefinition as { containerDefinitions: { portMappings: object[] }[] }).containerDefinitions;
    expect(shown?.portMappings.map((mapping) => ({ ...mapping, protocol: undefined }))).toEqual(
      [{ containerPort: 80, hostPort }, { containerPort: 81, hostPort: 81 }, { containerPortRange: '90-91' }].slice(
        0,
        hostPort === 0 ? 3 : 2,
      ),
    );
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

function definitionWith(secrets: readonly object[] | undefined): object {
  return { family: 'f', containerDefinitions: [{ name: 'app', image: 'hello:1', memory: 64, secrets }] };
}
