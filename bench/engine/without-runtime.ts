/** (E) Calls of ten tasks by the SDK, several at a time, until each task's first event was seen; nothing is run. */
import { RunTaskCommand } from '@aws-sdk/client-ecs';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { ScriptedAgent } from '../../test/fakes/agent.js';
import { createTestStore } from '../../test/fakes/embedded-store.js';
import { percentile, short, table } from '../figures.js';
import type { Session } from '../session.js';
import { addInstances, define, serveEngine } from './served-engine.js';

const CLIENTS = 4;
const TASKS = 10;

export async function benchWithoutRuntime(session: Session, sizes: readonly number[], calls: number): Promise<string> {
  const rows = [['(E) RunTask x10 by the SDK, no runtime', 'tasks/s', 'call p50', 'call p99']];
  for (const size of sizes) {
    const store = await createTestStore();
    const served = await serveEngine(new ScriptedAgent(systemClock), store.records);
    try {
      await addInstances(served.client, size);
      await define(served.client);
      const { seconds, times } = await load(served, calls);
      session.record('without-runtime', { size, calls, seconds, times });
      const figures = [percentile(times, 0.5), percentile(times, 0.99)].map((ms) => `${short(ms)} ms`);
      rows.push([`${String(size)} instances`, short((calls * TASKS) / seconds), ...figures]);
    } finally {
      await served.close(false);
      await store.close();
    }
  }
  return table(rows);
}

async function load(
  { engine, client }: Awaited<ReturnType<typeof serveEngine>>,
  calls: number,
): Promise<{ readonly seconds: number; readonly times: readonly number[] }> {
  const seen = new Set<string>();
  engine.onEvent((event) => {
    if (event['detail-type'] === 'ECS Task State Change') seen.add(event.resources[0] ?? '');
  });
  let left = calls;
  const times: number[] = [];
  const ran: string[] = [];
  const one = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const at = performance.now();
      const { tasks = [] } = await client.send(new RunTaskCommand({ taskDefinition: 'bench', count: TASKS }));
      times.push(performance.now() - at);
      ran.push(...tasks.map(({ taskArn = '' }) => taskArn));
    }
  };
  const begin = performance.now();
  await Promise.all(Array.from({ length: CLIENTS }, one));
  const seconds = (performance.now() - begin) / 1000;
  if (ran.length === calls * TASKS && ran.every((arn) => seen.has(arn))) return { seconds, times };
  throw new Error('a task or its event is missing');
}
