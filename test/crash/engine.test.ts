/**
 * Kill -9 of a whole platform, at any moment of its life or of its start, while tasks with real containers are run,
 * stopped and rolled over. What ran goes on and is found again with its whole log and its exit code; nothing is started
 * twice, nothing stays half way, nothing is left.
 */
import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  CreateServiceCommand,
  DeleteServiceCommand,
  ECSClient,
  StopTaskCommand,
  type Task,
  waitUntilServicesStable,
} from '@aws-sdk/client-ecs';
import { expect, test } from '@jest/globals';
import { takeControllersFromV2 } from '../cgroup-controllers.js';
import { PlatformProcess, runCommand } from '../e2e/platform-process.js';
import { requireTools } from '../host-tools.js';
import { Random } from '../interleave/random.js';
import { CLUSTER, define, described, EXIT_CODE, list, Load, SERVICE } from './engine-load.js';

const ASKED = process.env['WHARF_TEST_KILLS'];
/** `npm run test:crash` kills a thousand registries and half as many platforms. */
const KILLS = Number(ASKED ?? 100) / 2;
const OCI_RUNTIME = process.env['WHARF_TEST_OCI_RUNTIME'] ?? 'runc';
const UP = ['--oci-runtime', OCI_RUNTIME] as const;
/** Among all tests the kills end after this, on a machine too slow for all of them: those that were are told. */
const LONGEST_KILLING_MS = ASKED === undefined ? 180_000 : Number.POSITIVE_INFINITY;
const SEED = Number(process.env['WHARF_TEST_SEED'] ?? randomInt(2 ** 31));
/** How a life ends: while what ran before is looked for, amid requests, or once something new runs. */
const ENDS = { starting: 0.5, busy: 0.3, running: 0.2 } as const;
type End = keyof typeof ENDS;
const LONGEST_MS: Readonly<Record<End, number>> = { starting: 1000, busy: 400, running: 100 };
/** A machine may be too busy to start anything. */
const LONGEST_WAIT_MS = 20_000;
const LOGS_AT_ONCE = 8;
const TEXT = { headers: { accept: 'text/plain' } };

requireTools('root', 'runc', OCI_RUNTIME, 'conmon', 'bridge', 'ip', 'iptables', 'busybox').describe(
  `a platform that is killed ${String(KILLS)} times, with ${OCI_RUNTIME}`,
  () => {
    test(
      'goes on with what ran, starts nothing twice, leaves nothing',
      async () => {
        console.info(`engine.test.ts: seed ${String(SEED)}`);
        const random = new Random(SEED);
        const lap = laps();
        const giveBack = OCI_RUNTIME === 'crun' ? await takeControllersFromV2() : undefined;
        const platform = await PlatformProcess.create();
        const client = clientOf((await platform.start(...UP)).ecs);
        try {
          const script = ['--import', 'tsx', 'scripts/base-image.ts', platform.data];
          const pushed = await runCommand(process.execPath, script);
          if (pushed.exitCode !== 0) throw new Error(pushed.stderr);
          await platform.must('cluster', 'create', CLUSTER, '--instances', '2');
          await define(client);
          const service = { serviceName: SERVICE, taskDefinition: 'long', desiredCount: 2 };
          await client.send(new CreateServiceCommand({ cluster: CLUSTER, ...service }));
          const soon = { client, maxWaitTime: 120, minDelay: 1, maxDelay: 1 };
          await waitUntilServicesStable(soon, { cluster: CLUSTER, services: [SERVICE] });

          await platform.end('SIGKILL');
          const ready = lap();
          const load = new Load(client, random);
          const { adopted, kills } = await liveAndDie(platform, client, load, random);
          const killed = lap();
          const ended = await allStopped(client);
          const known = new Set(ended.map(({ taskArn }) => taskArn));
          expect([...load.asked.keys()].filter((arn) => !known.has(arn))).toEqual([]);
          const queue = [...ended];
          const check = async (): Promise<void> => {
            for (let task = queue.pop(); task !== undefined; task = queue.pop()) await checkEnd(platform, task);
          };
          await Promise.all(Array.from({ length: LOGS_AT_ONCE }, check));
          // Mounts, namespaces, packet rules, cgroups and supervisors name the container they are of.
          const left = (await platform.residue()).filter((line) => /[0-9a-f]{32}-\d{10}/.test(line));
          expect(left).toEqual([]);
          const ran = ended.filter(({ startedAt }) => startedAt !== undefined).length;
          console.info(
            `engine.test.ts: killed ${String(kills.starting)} times in its start, ${String(kills.busy)} amid requests, ` +
              `${String(kills.running)} with something new running; ${String(ended.length)} tasks, ${String(ran)} of them ran; ` +
              `containers adopted ${String(adopted)} times; ${ready} s until the first kill, ${killed} s of kills, ${lap()} s after`,
          );
          // What is checked above is not about nothing.
          expect(ran).toBeGreaterThan(0);
          expect(adopted).toBeGreaterThan(0);
        } finally {
          client.destroy();
          expect(await platform.remove()).toEqual([]);
          await giveBack?.();
        }
      },
      600_000 + KILLS * 5000,
    );
  },
);

/** Each call answers with the seconds since the last. */
function laps(): () => string {
  let at = performance.now();
  return () => {
    const begin = at;
    at = performance.now();
    return ((at - begin) / 1000).toFixed(0);
  };
}

interface Toll {
  /** How often a container was found running that had been running in the life before. */
  readonly adopted: number;
  readonly kills: Readonly<Record<End, number>>;
}

/** Leaves the platform running. */
async function liveAndDie(platform: PlatformProcess, client: ECSClient, load: Load, random: Random): Promise<Toll> {
  const kills = { starting: 0, busy: 0, running: 0 };
  let adopted = 0;
  let ids: ReadonlyMap<string, string> = new Map();
  const begin = performance.now();
  for (let killed = 0; killed < KILLS && performance.now() < begin + LONGEST_KILLING_MS; killed += 1) {
    const end = endOf(random.next());
    if (end === 'starting') platform.launch(...UP);
    else {
      await platform.start(...UP);
      const now = await runtimeIds(client, load);
      for (const [arn, id] of ids) {
        if (load.asked.get(arn) !== false) continue;
        expect([arn, now.get(arn)]).toEqual([arn, id]);
        adopted += 1;
      }
    }
    const dead = new AbortController();
    const work = load.until(dead.signal);
    if (end === 'running') await somethingNewRuns(client, load);
    await delay(random.below(LONGEST_MS[end]));
    if (end !== 'starting') {
      ids = await runtimeIds(client, load);
      await delay(random.below(30));
    }
    await platform.end('SIGKILL');
    dead.abort();
    await work;
    kills[end] += 1;
  }
  await platform.start(...UP);
  return { adopted, kills };
}

function endOf(dice: number): End {
  if (dice < ENDS.starting) return 'starting';
  return dice < ENDS.starting + ENDS.busy ? 'busy' : 'running';
}

/** A task that is meant to stay runs, and did not when this was asked. */
async function somethingNewRuns(client: ECSClient, load: Load): Promise<void> {
  const before = await runtimeIds(client, load);
  for (const end = performance.now() + LONGEST_WAIT_MS; performance.now() < end; await delay(50)) {
    const now = await runtimeIds(client, load);
    if ([...now.keys()].some((arn) => !before.has(arn))) return;
  }
}

function clientOf(endpoint: string): ECSClient {
  const credentials = { accessKeyId: 'any', secretAccessKey: 'any' };
  return new ECSClient({ endpoint, region: 'us-east-1', credentials, maxAttempts: 1 });
}

/** Of the tasks that run and that nobody asked to stop. */
async function runtimeIds(client: ECSClient, load: Load): Promise<ReadonlyMap<string, string>> {
  const tasks = await described(client, load.meantToRun);
  return new Map(
    tasks.flatMap(({ taskArn = '', lastStatus, containers }) => {
      const id = containers?.[0]?.runtimeId;
      return lastStatus === 'RUNNING' && id !== undefined ? [[taskArn, id] as const] : [];
    }),
  );
}

/** Nothing is stuck: every task there is, asked for by a client or a service, ends. */
async function allStopped(client: ECSClient): Promise<readonly Task[]> {
  await client.send(new DeleteServiceCommand({ cluster: CLUSTER, service: SERVICE, force: true }));
  const end = performance.now() + 120_000;
  for (;;) {
    // A run whose answer was cut off is there without anyone having asked for its end.
    const running = await list(client, 'RUNNING');
    const stop = (task: string): Promise<unknown> => client.send(new StopTaskCommand({ cluster: CLUSTER, task }));
    await Promise.all(running.map((task) => stop(task).catch(() => undefined)));
    const tasks = await described(client, await list(client, 'STOPPED'));
    const open = tasks.filter(({ lastStatus }) => lastStatus !== 'STOPPED');
    if (open.length === 0 && running.length === 0) return tasks;
    if (performance.now() > end) throw new Error(`never ended: ${JSON.stringify(open, undefined, 1)}`);
    await delay(200);
  }
}

/** Every end is one that somebody asked for, or the container's own; and its log is whole. */
async function checkEnd(platform: PlatformProcess, task: Task): Promise<void> {
  const id = task.taskArn?.split('/').at(-1) ?? '';
  const [container] = task.containers ?? [];
  const told = `${id} ${task.stopCode ?? ''} ${task.stoppedReason ?? ''} ${container?.reason ?? ''}`;
  if (task.stopCode === 'EssentialContainerExited') expect([told, container?.exitCode]).toEqual([told, EXIT_CODE]);
  else
    expect([told, task.stopCode]).toEqual([told, expect.stringMatching(/^(UserInitiated|ServiceSchedulerInitiated)$/)]);
  if (task.startedAt === undefined) return;
  const logs = await (await platform.api(`/v1/clusters/${CLUSTER}/tasks/${id}/logs`, TEXT)).text();
  const lines = logs
    .trimEnd()
    .split('\n')
    .map((line) => line.split(' ').at(-1));
  expect([told, ...lines]).toEqual([told, 'begun', ...lines.slice(1).map((_, i) => String(i + 1))]);
}
