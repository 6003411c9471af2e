/**
 * The engine in three layers, always printed together: (D) placement decisions alone; (E) RunTask through the unmodified
 * SDK to a durable record and its event, with an agent that runs nothing; (R) RunTask to RUNNING with real containers,
 * beside `docker run` where a daemon answers. The first says nothing about the last.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { serve } from '@hono/node-server';
import {
  CreateClusterCommand,
  ECSClient,
  RegisterContainerInstanceCommand,
  RegisterTaskDefinitionCommand,
  RunTaskCommand,
  StopTaskCommand,
} from '@aws-sdk/client-ecs';
import { createEngine, type Engine } from '../lib/engine/index.js';
import type { Agent } from '../lib/engine/agent/index.js';
import { PlacementIndex } from '../lib/engine/placement/placement-index.js';
import { adjusted, type InstanceSnapshot } from '../lib/engine/placement/snapshot.js';
import type { Requirement } from '../lib/engine/placement/place.js';
import { missingTools, sweepHost } from '../lib/runtime/index.js';
import { systemClock } from '../lib/store/clock-system.js';
import { silentLogger } from '../lib/store/index.js';
import { ScriptedAgent } from '../test/fakes/agent.js';
import { createTestStore } from '../test/fakes/embedded-store.js';
import { openAgentHost, pushBusybox } from '../test/engine-agent/agent-host.js';
import { percentile, short, table } from './figures.js';
import { machine, Session } from './session.js';

const quick = process.argv.includes('--quick');
const run = promisify(execFile);
const session = new Session();
console.log(`${new Date().toISOString()}: ${await machine()}`);
try {
  decisions();
  await withoutRuntime();
  await withContainers();
} finally {
  await session.close();
  console.log(`\nraw rounds: ${session.results}`);
}

/** (D) Places and ends tasks on a cluster that is kept about four fifths full. */
function decisions(): void {
  const requirements: readonly (readonly [string, Partial<Requirement>])[] = [
    ['binpack memory', { strategies: [{ type: 'binpack', field: 'memory' }] }],
    ['spread zone', { strategies: [{ type: 'spread', field: 'attribute:ecs.availability-zone' }] }],
    [
      'spread zone, binpack cpu',
      {
        strategies: [
          { type: 'spread', field: 'attribute:ecs.availability-zone' },
          { type: 'binpack', field: 'cpu' },
        ],
      },
    ],
    [
      'memberOf, binpack memory',
      {
        strategies: [{ type: 'binpack', field: 'memory' }],
        constraints: [{ type: 'memberOf', expression: 'attribute:ecs.availability-zone in [a, b]' }],
      },
    ],
  ];
  const rows = [
    ['(D) decisions/s of processor time, with their claims', '100', '1,000', '5,000 instances', 'p99 at 5,000'],
  ];
  for (const [name, change] of requirements) {
    const figures = [100, 1000, 5000].map((size) => decide(size, change));
    for (const each of figures) session.record('decisions', { name, ...each });
    rows.push([name, ...figures.map(({ perSecond }) => short(perSecond)), `${short(figures.at(-1)?.p99Us ?? 0)} µs`]);
  }
  console.log(`\n${table(rows)}`);
}

function decide(size: number, change: Partial<Requirement>): { size: number; perSecond: number; p99Us: number } {
  const index = new PlacementIndex(Array.from({ length: size }, (_, number) => emptyInstance(number)));
  const running: { readonly id: string; readonly requirement: Requirement }[] = [];
  let seed = 1;
  const random = (): number => (seed = (seed * 48_271) % 0x7fff_ffff) / 0x7fff_ffff;
  const noPorts: ReadonlySet<string> = new Set();
  const claim = (id: string, { needs, group }: Requirement, sign: 1 | -1): void => {
    const instance = index.instance(id);
    if (instance === undefined) return;
    const count = (instance.groups.get(group) ?? 0) - sign;
    const groups = new Map(instance.groups);
    if (count === 0) groups.delete(group);
    else groups.set(group, count);
    const remaining = adjusted(instance.remaining, needs, sign);
    index.set({ ...instance, remaining, groups, taskCount: instance.taskCount - sign });
  };
  const next = (): Requirement => ({
    needs: {
      cpu: 64 + Math.floor(random() * 4) * 64,
      memoryMiB: 128 + Math.floor(random() * 8) * 128,
      tcpPorts: [],
      udpPorts: [],
    },
    constraints: [],
    strategies: [],
    group: `service:s${String(Math.floor(random() * 50))}`,
    ...change,
  });
  const step = (): void => {
    const requirement = next();
    const chosen = index.choose(requirement, noPorts, random);
    if (chosen !== undefined) {
      claim(chosen.id, requirement, -1);
      running.push({ id: chosen.id, requirement });
    }
    if (chosen !== undefined && running.length < size * 8) return;
    const which = Math.floor(random() * running.length);
    const gone = running[which];
    const last = running.pop();
    if (gone === undefined || last === undefined) return;
    if (which < running.length) running[which] = last;
    claim(gone.id, gone.requirement, 1);
  };
  for (let warm = 0; warm < size * 10; warm += 1) step();
  const times: number[] = [];
  const steps = quick ? 20_000 : 100_000;
  // Seconds of the processor: others on the machine do not make a decision harder.
  const begin = process.cpuUsage();
  for (let done = 0; done < steps; done += 10) {
    const at = performance.now();
    for (let count = 0; count < 10; count += 1) step();
    times.push((performance.now() - at) / 10);
  }
  const { user, system } = process.cpuUsage(begin);
  return { size, perSecond: steps / ((user + system) / 1e6), p99Us: percentile(times, 0.99) * 1000 };
}

function emptyInstance(number: number): InstanceSnapshot {
  const id = String(number).padStart(32, '0');
  return {
    id,
    arn: `arn:${id}`,
    ec2InstanceId: `i-${id}`,
    status: 'ACTIVE',
    agentConnected: true,
    agentVersion: undefined,
    registeredAtMs: 0,
    attributes: new Map([['ecs.availability-zone', 'abc'.charAt(number % 3)]]),
    remaining: { cpu: 4096, memoryMiB: 8192, tcpPorts: [22], udpPorts: [] },
    groups: new Map(),
    taskCount: 0,
    runningTasksCount: 0,
  };
}

interface Served {
  readonly engine: Engine;
  readonly client: ECSClient;
  /** @param stopTasks not for an agent whose tasks never end by themselves */
  close(stopTasks: boolean): Promise<void>;
}

async function serveEngine(agent: Agent, records: Parameters<typeof createEngine>[0]['records']): Promise<Served> {
  const { systemIds } = await import('../lib/store/ids-system.js');
  const engine = createEngine(
    { records, agent, clock: systemClock, ids: systemIds, logger: silentLogger },
    { region: 'eu-central-1', accountId: '000000000000' },
  );
  await engine.start();
  const server = serve({ fetch: (request) => engine.fetch(request), hostname: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const client = new ECSClient({
    endpoint: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    region: 'eu-central-1',
    credentials: { accessKeyId: 'bench', secretAccessKey: 'bench' },
  });
  await client.send(new CreateClusterCommand({}));
  return {
    engine,
    client,
    async close(stopTasks) {
      client.destroy();
      server.close();
      await engine.stop({ stopTasks });
    },
  };
}

async function instances(client: ECSClient, count: number): Promise<void> {
  for (let number = 0; number < count; number += 1) {
    await client.send(
      new RegisterContainerInstanceCommand({
        totalResources: [
          { name: 'CPU', integerValue: 1_000_000 },
          { name: 'MEMORY', integerValue: 1_000_000 },
        ],
      }),
    );
  }
}

async function define(client: ECSClient, container: object = {}): Promise<void> {
  const app = { name: 'app', image: 'busybox:1', cpu: 1, memory: 16, stopTimeout: 2, ...container };
  await client.send(new RegisterTaskDefinitionCommand({ family: 'bench', containerDefinitions: [app] }));
}

/** (E) Calls of ten tasks, several at a time, until each task's first event was seen. */
async function withoutRuntime(): Promise<void> {
  const rows = [['(E) RunTask x10 by the SDK, no runtime', 'tasks/s', 'call p50', 'call p99']];
  for (const size of quick ? [8, 1000] : [8, 1000, 5000]) {
    const store = await createTestStore();
    const served = await serveEngine(new ScriptedAgent(systemClock), store.records);
    try {
      await instances(served.client, size);
      await define(served.client);
      const seen = new Set<string>();
      served.engine.onEvent((event) => {
        if (event['detail-type'] === 'ECS Task State Change') seen.add(event.resources[0] ?? '');
      });
      const calls = quick ? 20 : 100;
      let left = calls;
      const times: number[] = [];
      const ran: string[] = [];
      const one = async (): Promise<void> => {
        while (left > 0) {
          left -= 1;
          const at = performance.now();
          const { tasks = [] } = await served.client.send(new RunTaskCommand({ taskDefinition: 'bench', count: 10 }));
          times.push(performance.now() - at);
          ran.push(...tasks.map(({ taskArn = '' }) => taskArn));
        }
      };
      const begin = performance.now();
      await Promise.all([one(), one(), one(), one()]);
      const seconds = (performance.now() - begin) / 1000;
      if (ran.length !== calls * 10 || ran.some((arn) => !seen.has(arn)))
        throw new Error('a task or its event is missing');
      session.record('without-runtime', { size, calls, seconds, times });
      rows.push([
        `${String(size)} instances`,
        short(ran.length / seconds),
        `${short(percentile(times, 0.5))} ms`,
        `${short(percentile(times, 0.99))} ms`,
      ]);
    } finally {
      await served.close(false);
      await store.close();
    }
  }
  console.log(`\n${table(rows)}`);
}

/** (R) Real containers with the image present, four clients at a time, beside `docker run -d`. */
async function withContainers(): Promise<void> {
  if (process.getuid?.() !== 0 || missingTools().length > 0) {
    console.log(
      `\n(R) left out: needs root${missingTools()
        .map((tool) => `, ${tool}`)
        .join('')}`,
    );
    return;
  }
  const rounds = quick ? 12 : 60;
  const rows = [['(R) RunTask to RUNNING, image present', 'p50', 'p99', 'tasks/s, 4 at a time']];
  for (const size of [1, 4, 8]) {
    const host = await openAgentHost(await session.directory('engine'));
    const store = await createTestStore();
    const served = await serveEngine(host.agent, store.records);
    try {
      await pushBusybox(host, 'busybox', { Cmd: ['/bin/sleep', '1000'] });
      await instances(served.client, size);
      await define(served.client, { user: 'root' });
      const waiting = new Map<string, () => void>();
      const states = new Map<string, string>();
      served.engine.onEvent((event) => {
        const arn = event.resources[0] ?? '';
        states.set(arn, String(event.detail['lastStatus']));
        if (['RUNNING', 'STOPPED'].includes(states.get(arn) ?? '')) waiting.get(arn)?.();
      });
      const one = async (): Promise<number> => {
        const at = performance.now();
        const { tasks } = await served.client.send(new RunTaskCommand({ taskDefinition: 'bench' }));
        const arn = tasks?.[0]?.taskArn ?? '';
        if (states.get(arn) !== 'RUNNING') await new Promise<void>((resolve) => waiting.set(arn, resolve));
        if (states.get(arn) !== 'RUNNING') throw new Error(`${arn} is ${states.get(arn) ?? 'not known'}`);
        const ms = performance.now() - at;
        await served.client.send(new StopTaskCommand({ task: arn }));
        return ms;
      };
      rows.push([`${String(size)} instances`, ...(await timed(`engine-${String(size)}`, rounds, one))]);
    } finally {
      await served.close(true);
      await host.close();
      await sweepHost({ scope: host.scope, clock: systemClock }, new Set());
      await store.close();
    }
  }
  const docker = await run('docker', ['image', 'inspect', 'busybox:bench']).then(
    () => true,
    () => importBusybox(),
  );
  if (docker) {
    const one = async (): Promise<number> => {
      const at = performance.now();
      const { stdout } = await run('docker', ['run', '-d', '--memory', '16m', 'busybox:bench', '/bin/sleep', '1000']);
      const ms = performance.now() - at;
      await run('docker', ['rm', '-f', stdout.trim()]);
      return ms;
    };
    rows.push(['docker run -d', ...(await timed('docker', rounds, one))]);
    await run('docker', ['image', 'rm', 'busybox:bench']);
  }
  console.log(`\n${table(rows)}`);
  if (!docker) console.log('docker run: left out, no daemon answers');
}

/** One after another for the percentiles, then four at a time for the rate; both with their stops. */
async function timed(name: string, rounds: number, one: () => Promise<number>): Promise<string[]> {
  for (let warm = 0; warm < 3; warm += 1) await one();
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
  const rate = rounds / ((performance.now() - begin) / 1000);
  session.record('containers', { name, times, rate });
  return [`${short(percentile(times, 0.5))} ms`, `${short(percentile(times, 0.99))} ms`, short(rate)];
}

/** The machine's own busybox as an image of the daemon; false when there is no daemon. */
async function importBusybox(): Promise<boolean> {
  try {
    await run('docker', ['version', '--format', '{{.Server.Version}}']);
    const folder = await session.directory('busybox');
    await run('sh', ['-c', `mkdir ${folder}/bin && cp "$(command -v busybox)" ${folder}/bin/sleep`]);
    await run('sh', ['-c', `tar -C ${folder} -c . | docker import - busybox:bench`]);
    return true;
  } catch {
    return false;
  }
}
