/** What a task could not take along at its end, as when the host had no process left for it, goes a little later. */
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { TaskRecords } from '../../lib/engine/agent/task-records.js';
import { hostResidue } from '../../lib/runtime/index.js';
import { isContainer, isStopped, payloadOf, script } from './agent-host.js';
import { AgentSuite, describeAgent } from './agent-suite.js';

describeAgent('an agent that runs', () => {
  const suite = new AgentSuite(() => ({ cleanUpMs: 100 }));

  test('removes what belongs to none of its tasks, and leaves those alone', async () => {
    const { network } = suite.host;
    const serves = script('httpd -p 80 -h /www; echo up; sleep 1000', {
      portMappings: [{ containerPort: 80, protocol: 'tcp' }],
      stopTimeoutSeconds: 0,
    });
    const taskId = suite.start(payloadOf({ app: serves }, { networkMode: 'bridge' }));
    const { networkBindings = [] } = await suite.host.event(isContainer(taskId, 'app', 'RUNNING'));
    await suite.wrote(taskId, 'up');

    const left = `${'f'.repeat(32)}-0123456789`;
    await network.attach(left);
    const isLeft = async (): Promise<boolean> =>
      (await hostResidue(suite.host.scope)).some((line) => line.includes(left));
    while (await isLeft()) await delay(50);
    expect(await network.attached()).not.toContain(left);

    const answer = await fetch(`http://127.0.0.1:${String(networkBindings[0]?.hostPort)}/`);
    expect(await answer.text()).toBe('hello from a task\n');
    await suite.stop(taskId);
  });

  test('takes away the files of a container whatever it made, as a path longer than the system takes', async () => {
    const long = Array.from({ length: 15 }, () => 'n'.repeat(200)).join('/');
    const deep = script(`busybox mkdir -p /one/${long} /two/${long} && busybox mv /two /one/${long}/ && echo made`);
    const taskId = suite.start(payloadOf({ app: deep }));
    const { reason } = await suite.host.event(isStopped(taskId));
    expect(await suite.logOf(taskId)).toEqual(['made']);
    expect(reason).toBe('Essential container in task exited');
    expect(existsSync(new TaskRecords(suite.host.scope).folder(taskId))).toBe(false);
  });
});
