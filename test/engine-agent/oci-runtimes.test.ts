/** A platform that is started with another OCI runtime than before looks after what the first one made. */
import { expect, test } from '@jest/globals';
import type { OciRuntime } from '../../lib/runtime/index.js';
import { requireTools } from '../host-tools.js';
import { isContainer, isStopped, payloadOf, script } from './agent-host.js';
import { AgentSuite } from './agent-suite.js';

const host = requireTools('root', 'runc', 'crun', 'conmon', 'ip', 'iptables', 'bridge', 'busybox');

host.describe('a container made by one OCI runtime', () => {
  let ociRuntime: OciRuntime = 'crun';
  const suite = new AgentSuite(() => ({ ociRuntime }));

  test.each([
    ['crun', 'runc'],
    ['runc', 'crun'],
  ] as const)('%s goes on under %s: it takes commands, and ends', async (first, second) => {
    ociRuntime = first;
    await suite.reopen();
    const app = script('trap "exit 4" TERM; echo begun; while true; do sleep 0.05; done');
    const payload = payloadOf({ app }, { networkMode: 'bridge' });
    const taskId = suite.start(payload);
    await suite.wrote(taskId, 'begun');
    await suite.host.event(isContainer(taskId, 'app', 'RUNNING'));

    ociRuntime = second;
    await suite.reopen();
    suite.start(payload);
    await suite.host.event(isContainer(taskId, 'app', 'RUNNING'));
    const session = await suite.host.agent.exec?.(taskId, 'app', { args: ['/bin/sh', '-c', 'exit 5'] });
    session?.stdout.resume();
    session?.stderr.resume();
    await expect(session?.ended).resolves.toEqual({ exitCode: 5 });
    await suite.stop(taskId);
    await expect(suite.host.event(isContainer(taskId, 'app', 'STOPPED'))).resolves.toMatchObject({ exitCode: 4 });
    await suite.host.event(isStopped(taskId));
    expect(await suite.logOf(taskId)).toEqual(['begun']);
  });
});
