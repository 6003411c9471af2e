/** Kill -9 at every write of a service's life: started again, the engine ends where it would have ended anyway. */
import { describe, expect, test } from '@jest/globals';
import { createEngineFixture, type EngineFixture } from './engine-fixture.js';

const GROUP = 'arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/web/0123456789abcdef';

const WRITES = 26;

/** Sends a request as a client does that retries when the engine dies under it. */
async function persistently(
  fixture: EngineFixture,
  operation: string,
  input: object,
  death: Promise<void>,
): Promise<void> {
  const first = fixture.ecs(operation, input).then(() => 'answered');
  const outcome = await Promise.race([first, death.then(() => 'dead')]);
  if (outcome === 'answered') return;
  await fixture.restart();
  await fixture.ecs(operation, input);
}

async function stable(fixture: EngineFixture): Promise<boolean> {
  for (let step = 0; step < 200; step += 1) {
    await fixture.quiet();
    const service = await fixture.service('web');
    if (
      service.deployments.length === 1 &&
      service.deployments[0]?.rolloutState === 'COMPLETED' &&
      service.runningCount === service.desiredCount &&
      service.taskDefinition.endsWith('web:2') &&
      service.events[0]?.message.endsWith('has reached a steady state.') === true
    ) {
      return true;
    }
    fixture.clock.advance(250);
  }
  return false;
}

describe('killed', () => {
  // A deployment of two tasks makes about this many writes; every second death is after the write was made.
  test.each(Array.from({ length: WRITES }, (_, index) => [index % 2 === 0 ? 'before' : 'after', index + 1] as const))(
    '%s write %i of a deployment, the engine finishes it after a restart',
    async (moment, write) => {
      const fixture = await createEngineFixture({ auto: true, healthyAfterRunningMs: 0 });
      try {
        await fixture.instance();
        await fixture.instance();
        await fixture.definition('web', {}, { portMappings: [{ containerPort: 80 }] });
        await fixture.definition('web', {}, { portMappings: [{ containerPort: 80 }] });
        await fixture.ecs('CreateService', {
          serviceName: 'web',
          taskDefinition: 'web:1',
          desiredCount: 2,
          loadBalancers: [{ targetGroupArn: GROUP, containerName: 'app', containerPort: 80 }],
        });
        await fixture.quiet();
        let died = false;
        const death = new Promise<void>((resolve) =>
          fixture.records.killAt(write, moment, () => {
            died = true;
            fixture.agent.abandon();
            resolve();
          }),
        );
        await persistently(fixture, 'UpdateService', { service: 'web', taskDefinition: 'web:2' }, death);
        await fixture.quiet();
        if (died) await fixture.restart();
        expect(await stable(fixture)).toBe(true);
        // Exactly two tasks, both new, both reachable, and nothing else claims anything.
        const tasks = await fixture.tasks();
        expect(tasks).toHaveLength(2);
        expect(new Set(fixture.agent.taskIds)).toEqual(new Set(tasks.map((task) => task.taskArn.split('/').at(-1))));
        expect(fixture.targets.registered).toHaveLength(2);
        const { containerInstances } = await fixture.ecs('DescribeContainerInstances', {
          containerInstances: [...new Set(tasks.map((task) => task.containerInstanceArn))],
        });
        const used = (
          containerInstances as {
            registeredResources: { integerValue: number }[];
            remainingResources: { integerValue: number }[];
          }[]
        ).reduce(
          (sum, { registeredResources: [registered], remainingResources: [remaining] }) =>
            sum + (registered?.integerValue ?? 0) - (remaining?.integerValue ?? 0),
          0,
        );
        expect(used).toBe(2 * 128);
      } finally {
        await fixture.close();
      }
    },
  );
});
