/** networkMode awsvpc and port ranges as clients of the API see them. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { ScriptedAgent } from '../fakes/agent.js';
import { createEngineFixture, idOf, type EngineFixture } from './engine-fixture.js';

const network = { awsvpcConfiguration: { subnets: ['subnet-1'], securityGroups: ['sg-1'] } };

describe('the network of a task', () => {
  let fixture: EngineFixture;
  beforeEach(async () => {
    fixture = await createEngineFixture();
    await fixture.instance();
  });
  afterEach(() => fixture.close());

  const running = (taskId: string, more: Parameters<ScriptedAgent['running']>[2]): void =>
    fixture.agent.running(taskId, 'app', more);

  test('an awsvpc task must be given a network configuration, and others must not', async () => {
    await fixture.definition('vpc', { networkMode: 'awsvpc' });
    await fixture.definition('plain');
    expect(await fixture.refused('RunTask', { taskDefinition: 'vpc' })).toMatchObject({
      __type: 'InvalidParameterException',
      message: expect.stringContaining('Network Configuration must be provided'),
    });
    expect(await fixture.refused('RunTask', { taskDefinition: 'plain', networkConfiguration: network })).toMatchObject({
      message: expect.stringContaining('not valid for the given networkMode'),
    });
  });

  test('an awsvpc task has an ElasticNetworkInterface, `eni` in its events, and takes no port of the host', async () => {
    const portMappings = [{ containerPort: 80, hostPort: 80 }];
    await fixture.definition('vpc', { networkMode: 'awsvpc' }, { portMappings });
    const run = (): Promise<string> =>
      fixture
        .ecs('RunTask', { taskDefinition: 'vpc', networkConfiguration: network })
        .then((body) => body.tasks?.[0]?.taskArn ?? '');
    const arn = await run();
    await run();
    running(idOf(arn), { address: '10.200.0.7', ownInterface: true, networkBindings: [] });
    await fixture.quiet();
    const [task] = (await fixture.ecs('DescribeTasks', { tasks: [arn] })).tasks ?? [];
    expect(task).toMatchObject({
      attachments: [
        {
          type: 'ElasticNetworkInterface',
          status: 'ATTACHED',
          details: expect.arrayContaining([
            { name: 'subnetId', value: 'subnet-1' },
            { name: 'privateIPv4Address', value: '10.200.0.7' },
          ]),
        },
      ],
      containers: [{ networkInterfaces: [{ privateIpv4Address: '10.200.0.7' }], networkBindings: [] }],
    });
    const event = fixture.events.findLast(({ resources }) => resources.includes(arn));
    expect(event?.detail['attachments']).toMatchObject([{ type: 'eni' }]);
    expect(fixture.agent.payload(idOf(arn)).networkMode).toBe('awsvpc');
  });

  test('a service carries its network configuration to its tasks and shows it', async () => {
    await fixture.definition('vpc', { networkMode: 'awsvpc' });
    expect(
      await fixture.refused('CreateService', { serviceName: 's', taskDefinition: 'vpc', desiredCount: 1 }),
    ).toMatchObject({ message: expect.stringContaining('Network Configuration must be provided') });
    const { service } = await fixture.ecs('CreateService', {
      serviceName: 's',
      taskDefinition: 'vpc',
      desiredCount: 1,
      networkConfiguration: network,
    });
    expect(service).toMatchObject({ networkConfiguration: network });
    await fixture.quiet();
    const [task] = await fixture.tasks({ serviceName: 's' });
    expect(task).toMatchObject({ attachments: [{ status: 'PRECREATED' }] });
  });

  test('a range of ports is one binding', async () => {
    await fixture.definition('range', {}, { portMappings: [{ containerPortRange: '8000-8001' }] });
    const { tasks } = await fixture.ecs('RunTask', { taskDefinition: 'range' });
    const arn = tasks?.[0]?.taskArn ?? '';
    expect(fixture.agent.payload(idOf(arn)).containers[0]?.portMappings).toEqual([
      { containerPort: 8000, lastContainerPort: 8001, protocol: 'tcp' },
    ]);
    const range = { container: '8000-8001', host: '40000-40001' };
    const at = (containerPort: number, hostPort: number) =>
      ({ bindIP: '127.0.0.1', containerPort, hostPort, protocol: 'tcp', range }) as const;
    running(idOf(arn), { networkBindings: [at(8000, 40_000), at(8001, 40_001)] });
    await fixture.quiet();
    const [task] = (await fixture.ecs('DescribeTasks', { tasks: [arn] })).tasks ?? [];
    expect(task?.containers[0]?.networkBindings).toEqual([
      { bindIP: '127.0.0.1', protocol: 'tcp', containerPortRange: '8000-8001', hostPortRange: '40000-40001' },
    ]);
  });
});
