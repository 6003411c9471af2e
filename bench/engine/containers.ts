/**
 * (R) RunTask by the SDK until the event that says RUNNING, with real containers whose image is there; beside
 * `docker run -d`. The rate is that of four clients who start and stop.
 */
import { RunTaskCommand, StopTaskCommand } from '@aws-sdk/client-ecs';
import { missingTools, type OciRuntime, sweepHost } from '../../lib/runtime/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { openAgentHost, pushBusybox } from '../../test/engine-agent/agent-host.js';
import { takeControllersFromV2 } from '../../test/cgroup-controllers.js';
import { createTestStore } from '../../test/fakes/embedded-store.js';
import { percentile, short, table } from '../figures.js';
import { hasProgram } from '../process.js';
import type { Session } from '../session.js';
import { type DockerRun, startDockerRun } from './docker-run.js';
import { addInstances, define, type ServedEngine, serveEngine } from './served-engine.js';

/**
 * Ends at once when it is asked to: what is measured is the engine, not a time-out. With SIGKILL, since a program that
 * handles SIGTERM may be asked before it has said so, and the first process of a container is then let go on.
 */
const PROGRAM = ['/bin/sleep', '1000'];
const STOP_SIGNAL = 'SIGKILL';
const WARM = 3;

interface Rounds {
  readonly p50: number;
  readonly p99: number;
  readonly perSecond: number;
}

export async function benchContainers(session: Session, sizes: readonly number[], rounds: number): Promise<string> {
  const runtimes: OciRuntime[] = (await hasProgram('crun')) ? ['runc', 'crun'] : ['runc'];
  const missing = process.getuid?.() === 0 ? missingTools() : ['root', ...missingTools()];
  if (missing.length > 0) return `(R) left out: needs ${missing.join(', ')}`;
  const rows = [['(R) RunTask to RUNNING, image present', 'p50', 'p99', 'tasks/s, 4 at a time']];
  const row = (name: string, { p50, p99, perSecond }: Rounds): void => {
    rows.push([name, `${short(p50)} ms`, `${short(p99)} ms`, short(perSecond)]);
  };
  const medians = new Map<OciRuntime, number>();
  for (const ociRuntime of runtimes) {
    const giveBack = ociRuntime === 'crun' ? await takeControllersFromV2() : undefined;
    if (giveBack !== undefined) session.defer(giveBack);
    const found: number[] = [];
    for (const size of sizes) {
      const figures = await engineRounds(session, { size, rounds, ociRuntime });
      found.push(figures.p50);
      row(`${ociRuntime}, ${String(size)} instances`, figures);
    }
    medians.set(ociRuntime, percentile(found, 0.5));
    await giveBack?.();
  }
  const docker = await startDockerRun(session);
  if (docker === undefined) return `${table(rows)}\ndocker run -d: left out, docker.io is not installed`;
  try {
    const figures = await dockerRounds(session, docker, rounds);
    row('docker run -d', figures);
    const factors = [...medians].map(([name, median]) => `${short(figures.p50 / median)} times as long as ${name}`);
    return `${table(rows)}\ndocker run -d takes ${factors.join(', ')} here (p50 against the median of ours)`;
  } finally {
    await docker.stop();
  }
}

async function engineRounds(
  session: Session,
  { size, rounds, ociRuntime }: { readonly size: number; readonly rounds: number; readonly ociRuntime: OciRuntime },
): Promise<Rounds> {
  const host = await openAgentHost(await session.directory('engine'), { ociRuntime });
  session.defer(() => sweepHost({ scope: host.scope, clock: systemClock }, new Set()));
  const store = await createTestStore();
  const served = await serveEngine(host.agent, store.records);
  try {
    await pushBusybox(host, 'busybox', { Cmd: PROGRAM, StopSignal: STOP_SIGNAL });
    await addInstances(served.client, size);
    await define(served.client, { user: 'root' });
    return await timedRounds(session, `${ociRuntime}-${String(size)}`, rounds, runAndStop(served));
  } finally {
    await served.close(true);
    await host.close();
    await sweepHost({ scope: host.scope, clock: systemClock }, new Set());
    await store.close();
  }
}

/** One task: resolves to the milliseconds until RUNNING, once it has ended. */
function runAndStop({ engine, client }: ServedEngine): () => Promise<number> {
  const waiting = new Map<string, () => void>();
  const states = new Map<string, string>();
  engine.onEvent((event) => {
    const arn = event.resources[0] ?? '';
    states.set(arn, String(event.detail['lastStatus']));
    if (['RUNNING', 'STOPPED'].includes(states.get(arn) ?? '')) waiting.get(arn)?.();
  });
  const until = async (arn: string, status: string): Promise<void> => {
    if (states.get(arn) !== status) await new Promise<void>((resolve) => waiting.set(arn, resolve));
    if (states.get(arn) !== status) throw new Error(`${arn} is ${states.get(arn) ?? 'not known'}`);
    waiting.delete(arn);
  };
  return async () => {
    const at = performance.now();
    const { tasks } = await client.send(new RunTaskCommand({ taskDefinition: 'bench' }));
    const arn = tasks?.[0]?.taskArn ?? '';
    await until(arn, 'RUNNING');
    const ms = performance.now() - at;
    await client.send(new StopTaskCommand({ task: arn }));
    await until(arn, 'STOPPED');
    return ms;
  };
}

function dockerRounds(session: Session, docker: DockerRun, rounds: number): Promise<Rounds> {
  return timedRounds(session, 'docker', rounds, async () => {
    const at = performance.now();
    const id = await docker.run(PROGRAM, STOP_SIGNAL);
    const ms = performance.now() - at;
    await docker.stopContainer(id);
    return ms;
  });
}

/** One after another for the percentiles, then four at a time for the rate; both with their stops. */
async function timedRounds(
  session: Session,
  name: string,
  rounds: number,
  one: () => Promise<number>,
): Promise<Rounds> {
  for (let warm = 0; warm < WARM; warm += 1) await one();
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) times.push(await one());
  const begin = performance.now();
  let left = rounds;
  const client = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await one();
    }
  };
  await Promise.all([client(), client(), client(), client()]);
  const perSecond = rounds / ((performance.now() - begin) / 1000);
  session.record('containers', { name, times, perSecond });
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99), perSecond };
}
