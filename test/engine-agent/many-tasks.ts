/** Runs more tasks at once than Node thinks anyone would, and ends them: for the test that reads what is written meanwhile. */
import { sweepHost } from '../../lib/runtime/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { isContainer, isStopped, openAgentHost, payloadOf, pushBusybox, script } from './agent-host.js';

const TASKS = 12;

async function main(directory: string): Promise<void> {
  const host = await openAgentHost(directory);
  await pushBusybox(host, 'busybox', {});
  const payloads = Array.from({ length: TASKS }, () =>
    payloadOf({ app: script('sleep 1000', { stopTimeoutSeconds: 0 }) }),
  );
  for (const payload of payloads) host.agent.run(payload);
  for (const { taskId } of payloads) await host.event(isContainer(taskId, 'app', 'RUNNING'));
  for (const { taskId } of payloads) host.agent.stop(taskId, { stopCode: 'UserInitiated', reason: 'enough' });
  for (const { taskId } of payloads) await host.event(isStopped(taskId));
  await host.close();
  await sweepHost({ scope: host.scope, clock: systemClock }, new Set());
  process.stdout.write('ended\n');
}

void main(process.argv[2] ?? '');
