/** Instances that die: their tasks stop with the right code, services go on elsewhere, also over a crash. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createEngineFixture, idOf, type EngineFixture } from './engine-fixture.js';

let fixture: EngineFixture;
let first: string;
let second: string;
beforeEach(async () => {
  fixture = await createEngineFixture({ auto: true, healthyAfterRunningMs: 0 });
  first = await fixture.instance();
  second = await fixture.instance();
  await fixture.definition('web');
});
afterEach(() => fixture.close());

describe('an instance that dies', () => {
  test('is INACTIVE, its tasks say so, and services replace theirs on the others', async () => {
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 4 });
    await fixture.quiet();
    const alone = (await fixture.ecs('StartTask', { taskDefinition: 'web', containerInstances: [first] })).tasks ?? [];
    await fixture.quiet();
    expect(await fixture.engine.loseInstance(first)).toBe(true);
    await fixture.quiet();
    const running = await fixture.tasks({ serviceName: 'web' });
    expect(running).toHaveLength(4);
    expect(new Set(running.map((task) => task.containerInstanceArn))).toEqual(new Set([second]));
    const stopped = await fixture.tasks({ desiredStatus: 'STOPPED' });
    expect(stopped).toHaveLength(3);
    expect(stopped.map(({ taskArn }) => taskArn)).toContain(alone[0]?.taskArn);
    for (const task of stopped) {
      expect(task).toMatchObject({
        lastStatus: 'STOPPED',
        stopCode: 'TerminationNotice',
        stoppedReason: expect.stringMatching(/^Host EC2 \(instance i-\S+\) terminated\.$/),
      });
    }
    const { containerInstances } = await fixture.ecs('DescribeContainerInstances', { containerInstances: [first] });
    expect(containerInstances).toMatchObject([{ status: 'INACTIVE', agentConnected: false, runningTasksCount: 0 }]);
    // A lost machine is no failure of the deployment.
    expect((await fixture.service('web')).deployments).toMatchObject([{ failedTasks: 0, rolloutState: 'COMPLETED' }]);
    expect(await fixture.engine.loseInstance(first)).toBe(false);
  });

  test('is lost for all its tasks even if the engine is killed in the midst of it', async () => {
    for (const write of [1, 2, 3]) {
      const instance = await fixture.instance();
      const { tasks = [] } = await fixture.ecs('StartTask', { taskDefinition: 'web', containerInstances: [instance] });
      await fixture.quiet();
      const death = new Promise<void>((resolve) => fixture.records.killAt(write, 'after', resolve));
      await Promise.race([fixture.engine.loseInstance(instance), death]);
      await fixture.restart();
      await fixture.quiet();
      const [task] = (await fixture.ecs('DescribeTasks', { tasks: [idOf(tasks[0]?.taskArn ?? '')] })).tasks ?? [];
      expect(task).toMatchObject({ lastStatus: 'STOPPED', stopCode: 'TerminationNotice' });
    }
  });

  test('taken out by force stops its tasks as the user’s wish, and services replace theirs', async () => {
    await fixture.ecs('CreateService', { serviceName: 'web', taskDefinition: 'web', desiredCount: 2 });
    await fixture.quiet();
    await fixture.ecs('DeregisterContainerInstance', { containerInstance: first, force: true });
    await fixture.quiet();
    expect(await fixture.tasks({ serviceName: 'web' })).toHaveLength(2);
    expect(await fixture.tasks({ desiredStatus: 'STOPPED' })).toMatchObject([
      { stopCode: 'UserInitiated', stoppedReason: 'Container instance deregistered forcibly by user' },
    ]);
  });
});
