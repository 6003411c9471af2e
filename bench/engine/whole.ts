/**
 * The whole program as a user has it: from the push of an image with one new layer to the service's task that runs it;
 * and `wharf engine` in the same folder: how soon it answers, and what it holds in memory beside its tasks.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import {
  DescribeTasksCommand,
  type ECSClient,
  ListClustersCommand,
  ListTasksCommand,
  RegisterTaskDefinitionCommand,
  RunTaskCommand,
  StopTaskCommand,
} from '@aws-sdk/client-ecs';
import { WharfClient } from '../../lib/client/index.js';
import { openHostScope, sweepHost } from '../../lib/runtime/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { megabytes, percentile, short, table } from '../figures.js';
import { WHARF, WharfServer } from '../peers/wharf.js';
import { Server } from '../process.js';
import type { Session } from '../session.js';
import { ecsClient } from './served-engine.js';
import { SmallImages } from './small-images.js';

const LOOK_MS = 5;
const SETTLE_MS = 10_000;
const STOPPED = 50;
const RUNNING = 10;
const CLUSTER = 'bench';

export async function benchWhole(session: Session, rounds: number): Promise<string> {
  const wharf = await WharfServer.create(session);
  // Whatever goes wrong, no container stays.
  session.defer(async () =>
    sweepHost({ scope: await openHostScope(join(wharf.data, 'runtime')), clock: systemClock }, new Set()),
  );
  await wharf.start();
  const pushed = await pushToRunning(wharf, session, rounds);
  await wharf.stop();
  const ready = await readyTimes(wharf.data, session);
  const memory = await idleMemory(wharf.data, session);
  session.record('whole', { pushed, ready, memory });
  return table([
    ['The whole program', 'p50', 'most'],
    ['push of one new layer to RUNNING, by a service', ...inMs(pushed)],
    ['wharf engine, from its start to an answer', ...inMs(ready)],
    [`wharf engine, ${STOPPED} stopped and ${RUNNING} running tasks`, megabytes(memory), 'resident'],
  ]);
}

function inMs(times: readonly number[]): string[] {
  return [percentile(times, 0.5), Math.max(...times)].map((ms) => `${short(ms)} ms`);
}

async function pushToRunning(wharf: WharfServer, session: Session, rounds: number): Promise<readonly number[]> {
  const { url, token } = wharf.address;
  const client = new WharfClient({ url, token });
  const images = await SmallImages.create(session, wharf.address);
  const ecs = ecsClient(url);
  await client.clusters.put(CLUSTER, { instances: 2 });
  const times: number[] = [];
  const known = new Set<string>();
  try {
    for (let round = 0; round <= rounds; round += 1) {
      const push = await images.make();
      const begin = performance.now();
      await push();
      await client.services.put(CLUSTER, 'app', { image: 'app:1', count: 1 });
      await until(async () => {
        const tasks = await tasksOf(ecs);
        const fresh = tasks.find(({ arn, status }) => status === 'RUNNING' && !known.has(arn));
        if (fresh !== undefined) known.add(fresh.arn);
        return fresh !== undefined;
      });
      // The first one also unpacks the base.
      if (round > 0) times.push(performance.now() - begin);
      await until(async () => {
        const tasks = await tasksOf(ecs);
        return tasks.filter(({ status }) => status !== 'STOPPED').length === 1;
      });
    }
    await client.services.remove(CLUSTER, 'app');
    await until(() => allStopped(ecs));
  } finally {
    images.close();
    ecs.destroy();
  }
  return times;
}

async function tasksOf(ecs: ECSClient): Promise<readonly { readonly arn: string; readonly status: string }[]> {
  const found: { readonly arn: string; readonly status: string }[] = [];
  for (const desiredStatus of ['RUNNING', 'STOPPED'] as const) {
    const { taskArns = [] } = await ecs.send(new ListTasksCommand({ cluster: CLUSTER, desiredStatus }));
    if (taskArns.length === 0) continue;
    const { tasks = [] } = await ecs.send(new DescribeTasksCommand({ cluster: CLUSTER, tasks: taskArns }));
    found.push(...tasks.map(({ taskArn = '', lastStatus = '' }) => ({ arn: taskArn, status: lastStatus })));
  }
  return found;
}

async function allStopped(ecs: ECSClient): Promise<boolean> {
  return (await tasksOf(ecs)).every(({ status }) => status === 'STOPPED');
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 60_000;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error('nothing came about for a minute');
    await delay(LOOK_MS);
  }
}

async function readyTimes(data: string, session: Session): Promise<readonly number[]> {
  const times: number[] = [];
  for (let round = 0; round < 4; round += 1) {
    const begin = performance.now();
    const { server, ecs } = await startEngineProcess(data, session);
    // The first start may have to make the bundle of the program.
    if (round > 0) times.push(performance.now() - begin);
    ecs.destroy();
    await server.stop();
  }
  return times;
}

async function idleMemory(data: string, session: Session): Promise<number> {
  const { server, ecs } = await startEngineProcess(data, session);
  try {
    const app = { name: 'app', image: 'app:1', cpu: 1, memory: 16, stopTimeout: 2 };
    await ecs.send(new RegisterTaskDefinitionCommand({ family: 'idle', containerDefinitions: [app] }));
    for (let started = 0; started < STOPPED + RUNNING; started += 5) {
      const run = new RunTaskCommand({ cluster: CLUSTER, taskDefinition: 'idle', count: 5 });
      const arns = (await ecs.send(run)).tasks?.map(({ taskArn = '' }) => taskArn) ?? [];
      await until(async () => {
        const running = (await tasksOf(ecs)).filter(({ status }) => status === 'RUNNING').map(({ arn }) => arn);
        return arns.every((arn) => running.includes(arn));
      });
      if (started >= STOPPED) continue;
      for (const task of arns) await ecs.send(new StopTaskCommand({ cluster: CLUSTER, task }));
      await until(() => allStopped(ecs));
    }
    await delay(SETTLE_MS);
    return residentBytes(server.pid);
  } finally {
    const running = (await tasksOf(ecs)).filter(({ status }) => status !== 'STOPPED');
    for (const { arn } of running) await ecs.send(new StopTaskCommand({ cluster: CLUSTER, task: arn }));
    await until(() => allStopped(ecs));
    ecs.destroy();
    await server.stop();
  }
}

/** Resolves when it has answered a first request. */
async function startEngineProcess(
  data: string,
  session: Session,
): Promise<{ readonly server: Server; readonly ecs: ECSClient }> {
  const command = [process.execPath, WHARF, 'engine', '--listen', '127.0.0.1:0', '--json', '--data', data];
  const server = await Server.start(command, join(session.folder, 'engine.log'), { reads: true });
  session.defer(() => server.stop());
  const { stdout } = server.process;
  if (stdout === null) throw new Error('wharf engine has no stdout');
  let url: string | undefined;
  void once(createInterface({ input: stdout }), 'line').then(([line]) => {
    url = (JSON.parse(String(line)) as { readonly url: string }).url;
  });
  await server.ready(() => Promise.resolve(url !== undefined), 1);
  const ecs = ecsClient(url ?? '');
  await ecs.send(new ListClustersCommand({}));
  return { server, ecs };
}

function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}
