/** Steps that tests of services share: set a cluster up, let time pass until something holds. */
import { expect } from '@jest/globals';
import { createEngineFixture, idOf, type EngineFixture, type ServiceBody, type TaskBody } from './engine-fixture.js';

const HEALTHY_AFTER_MS = 1000;

/** A cluster of two instances; tasks count as healthy a second after RUNNING. */
export async function twoInstances(options: Parameters<typeof createEngineFixture>[0] = {}): Promise<EngineFixture> {
  const fixture = await createEngineFixture({ healthyAfterRunningMs: HEALTHY_AFTER_MS, ...options });
  await fixture.instance();
  await fixture.instance();
  return fixture;
}

/** Moves time on in steps until this holds of the service; the engine does all it can at each time. */
export async function serviceIs(
  fixture: EngineFixture,
  name: string,
  what: string,
  holds: (service: ServiceBody) => boolean,
): Promise<ServiceBody> {
  for (let step = 0; step < 400; step += 1) {
    await fixture.quiet();
    const service = await fixture.service(name);
    if (holds(service)) return service;
    fixture.clock.advance(250);
  }
  throw new Error(`never came about: ${name}: ${what}`);
}

export const stable = (service: ServiceBody): boolean =>
  service.deployments.length === 1 &&
  service.runningCount === service.desiredCount &&
  service.deployments[0]?.rolloutState === 'COMPLETED';

export const messages = (service: ServiceBody): string[] => service.events.map((event) => event.message);

export const steady = (fixture: EngineFixture, name: string): Promise<ServiceBody> =>
  serviceIs(
    fixture,
    name,
    'steady',
    (service) => stable(service) && messages(service)[0] === `(service ${name}) has reached a steady state.`,
  );

export const tasksOf = (fixture: EngineFixture, name: string): Promise<readonly TaskBody[]> =>
  fixture.tasks({ serviceName: name });

/** Moves time on until so many tasks wait for the agent; gives their ids. */
export async function pending(fixture: EngineFixture, name: string, count: number): Promise<string[]> {
  let ids: string[] = [];
  for (let step = 0; step < 400 && ids.length < count; step += 1) {
    await fixture.quiet();
    ids = (await tasksOf(fixture, name))
      .filter((task) => task.lastStatus === 'PENDING')
      .map((task) => idOf(task.taskArn));
    if (ids.length < count) fixture.clock.advance(100);
  }
  expect(ids).toHaveLength(count);
  return ids;
}
