/** What names of a service lead to: only tasks that serve, at the address and with the ports of the right container. */
import { afterEach, expect, test } from '@jest/globals';
import type { ServiceNames } from '../../lib/engine/agent/index.js';
import type { EngineFixture } from './engine-fixture.js';
import { pending, twoInstances } from './service-steps.js';

let fixture: EngineFixture;
afterEach(() => fixture.close());

const find = (service: string, cluster = 'default'): Promise<ServiceNames | undefined> | undefined =>
  fixture.agent.engine?.lookUp(cluster, service);
const addresses = async (service: string): Promise<readonly string[] | undefined> =>
  (await find(service))?.tasks.map(({ address }) => address).sort();

test('a task is found from RUNNING until it is to stop, by the name in any case', async () => {
  fixture = await twoInstances();
  await fixture.definition('web', {}, { portMappings: [{ containerPort: 8080, name: 'http' }] });
  await fixture.ecs('CreateService', { serviceName: 'Web', taskDefinition: 'web', desiredCount: 2 });
  const [first = '', second = ''] = await pending(fixture, 'Web', 2);
  await expect(find('Web')).resolves.toEqual({ name: 'Web', tasks: [] });
  fixture.agent.running(first, 'app', { address: '10.0.0.1' });
  await fixture.quiet();
  await expect(find('web')).resolves.toEqual({
    name: 'Web',
    tasks: [{ taskId: first, address: '10.0.0.1', ports: [{ port: 8080, protocol: 'tcp', name: 'http' }] }],
  });
  fixture.agent.running(second, 'app', { address: '10.0.0.2' });
  await fixture.quiet();
  await expect(addresses('Web')).resolves.toEqual(['10.0.0.1', '10.0.0.2']);
  await fixture.ecs('StopTask', { task: first });
  await expect(addresses('Web')).resolves.toEqual(['10.0.0.2']);
  await fixture.restart();
  await expect(addresses('Web')).resolves.toEqual(['10.0.0.2']);
  await expect(find('other')).resolves.toBeUndefined();
  await expect(find('Web', 'other')).resolves.toBeUndefined();
});

test('with a health check only healthy tasks are found', async () => {
  fixture = await twoInstances();
  const healthCheck = { command: ['CMD', 'true'], interval: 5 };
  await fixture.definition('web', {}, { healthCheck });
  await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 1 });
  const [id = ''] = await pending(fixture, 'web', 1);
  fixture.agent.running(id, 'app', { address: '10.0.0.1' });
  await fixture.quiet();
  await expect(addresses('web')).resolves.toEqual([]);
  fixture.agent.health(id, 'app', 'HEALTHY');
  await fixture.quiet();
  await expect(addresses('web')).resolves.toEqual(['10.0.0.1']);
});

test('the container that has ports is meant, and a task without address is not found', async () => {
  fixture = await twoInstances();
  const container = (name: string, more: object): object => ({ name, image: 'hello:1', memory: 64, ...more });
  await fixture.ecs('RegisterTaskDefinition', {
    family: 'pair',
    containerDefinitions: [container('side', {}), container('web', { portMappings: [{ containerPort: 80 }] })],
  });
  await fixture.ecs('CreateService', { serviceName: 'pair', taskDefinition: 'pair', desiredCount: 2 });
  const [first = '', second = ''] = await pending(fixture, 'pair', 2);
  fixture.agent.running(first, 'side', { address: '10.0.0.1' });
  fixture.agent.running(first, 'web', { address: '10.0.0.2' });
  fixture.agent.running(second, 'side', {});
  fixture.agent.running(second, 'web', {});
  await fixture.quiet();
  await expect(addresses('pair')).resolves.toEqual(['10.0.0.2']);
});
