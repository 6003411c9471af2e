/** dependsOn: the nine ways in which the containers of a task wait for one another, told by the order of their events. */
import { expect, test } from '@jest/globals';
import { type ContainerInput, isContainer, isStopped, payloadOf, script } from './agent-host.js';
import { AgentSuite, describeAgent } from './agent-suite.js';

type Condition = 'START' | 'COMPLETE' | 'SUCCESS' | 'HEALTHY';

describeAgent('dependsOn', () => {
  const suite = new AgentSuite();

  const on = (condition: Condition, ...names: string[]): Pick<ContainerInput, 'dependsOn'> => ({
    dependsOn: names.map((containerName) => ({ containerName, condition })),
  });
  const health = (command: string): Pick<ContainerInput, 'healthCheck'> => ({
    healthCheck: {
      command: ['CMD-SHELL', command],
      intervalSeconds: 0.05,
      timeoutSeconds: 5,
      retries: 1,
      startPeriodSeconds: 0,
    },
  });
  const helper: ContainerInput = { essential: false, stopTimeoutSeconds: 0 };
  /** `name RUNNING` and `name STOPPED` in the order they came about, once the task has ended. */
  async function orderOf(containers: Readonly<Record<string, ContainerInput>>): Promise<string[]> {
    const payload = payloadOf(containers);
    suite.host.agent.run(payload);
    await suite.host.event(isStopped(payload.taskId));
    return suite.host.events.flatMap((event) =>
      event.taskId === payload.taskId && event.type === 'container' && event.status !== 'PENDING'
        ? [`${event.container} ${event.status}`]
        : [],
    );
  }

  test('START: the dependent starts once the dependency has', async () => {
    const order = await orderOf({ parent: script('true', on('START', 'child')), child: script('sleep 1000', helper) });
    expect(order).toEqual(['child RUNNING', 'parent RUNNING', 'parent STOPPED', 'child STOPPED']);
  });

  test('HEALTHY: the dependent starts once the check has succeeded, and both end', async () => {
    const order = await orderOf({
      parent: script('exit 1', on('HEALTHY', 'child')),
      child: script('sleep 1000', { ...helper, ...health('exit 0') }),
    });
    expect(order).toEqual(['child RUNNING', 'parent RUNNING', 'parent STOPPED', 'child STOPPED']);
  });

  test.each([
    ['COMPLETE', 1],
    ['SUCCESS', 0],
  ] as const)('%s: the dependent starts after the dependency has ended with %i', async (condition, code) => {
    const order = await orderOf({
      parent: script('exit 0', on(condition, 'child')),
      child: script(`exit ${code}`, helper),
    });
    expect(order).toEqual(['child RUNNING', 'child STOPPED', 'parent RUNNING', 'parent STOPPED']);
  });

  test('SUCCESS: the dependent never starts after a failure, and the task ends', async () => {
    const order = await orderOf({ parent: script('exit 0', on('SUCCESS', 'child')), child: script('exit 1', helper) });
    expect(order).toEqual(['child RUNNING', 'child STOPPED', 'parent STOPPED']);
  });

  test.each(['SUCCESS', 'HEALTHY'] as const)(
    '%s: the dependent never starts when the start time-out passes first, and the task ends',
    async (condition) => {
      const order = await orderOf({
        parent: script('exit 0', on(condition, 'child')),
        child: script('sleep 1000', { ...helper, ...health('exit 1'), startTimeoutSeconds: 0.3 }),
      });
      expect(order.toSorted()).toEqual(['child RUNNING', 'child STOPPED', 'parent STOPPED']);
    },
  );

  test('several conditions on one container must all hold', async () => {
    const order = await orderOf({
      parent: script('true', {
        dependsOn: [
          { containerName: 'setup', condition: 'SUCCESS' },
          { containerName: 'db', condition: 'HEALTHY' },
        ],
      }),
      setup: script('true', helper),
      db: script('sleep 1000', { ...helper, ...health('exit 0'), ...on('COMPLETE', 'setup') }),
    });
    expect(order).toEqual([
      'setup RUNNING',
      'setup STOPPED',
      'db RUNNING',
      'parent RUNNING',
      'parent STOPPED',
      'db STOPPED',
    ]);
  });

  test('containers end in the reverse order when the task is stopped', async () => {
    const wait = 'trap "exit 0" TERM; echo up; while true; do sleep 0.05; done';
    const payload = payloadOf({
      parent: script(wait, on('START', 'middle')),
      middle: script(wait, on('START', 'child')),
      child: script(wait),
    });
    suite.host.agent.run(payload);
    const { taskId } = payload;
    for (const name of ['parent', 'middle', 'child']) {
      await suite.host.event(isContainer(taskId, name, 'RUNNING'));
      for await (const line of suite.host.agent.logs(taskId, name, { follow: true }) ?? [])
        if (line.text === 'up') break;
    }
    suite.host.agent.stop(taskId, { stopCode: 'UserInitiated', reason: 'enough' });
    await suite.host.event(isStopped(taskId));
    const stops = suite.host.events.flatMap((event) =>
      event.taskId === taskId && event.type === 'container' && event.status === 'STOPPED' ? [event.container] : [],
    );
    expect(stops).toEqual(['parent', 'middle', 'child']);
  });
});
