/**
 * Kill -9 of a whole platform while tasks with real containers are run, stopped and rolled over. What ran goes on and is
 * found again with its log and its exit code; nothing is started twice, nothing stays half way, nothing is left.
 */
import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  CreateServiceCommand,
  DeleteServiceCommand,
  DescribeTasksCommand,
  ECSClient,
  ListTasksCommand,
  RegisterTaskDefinitionCommand,
  RunTaskCommand,
  StopTaskCommand,
  type Task,
  UpdateServiceCommand,
} from '@aws-sdk/client-ecs';
import { expect, test } from '@jest/globals';
import { PlatformProcess, runCommand } from '../e2e/platform-process.js';
import { requireTools } from '../host-tools.js';
import { Random } from '../interleave/random.js';

/** `npm run test:crash` kills a thousand registries and half as many platforms; otherwise it is as many as fit. */
const KILLS = process.env['WHARF_TEST_KILLS'] === undefined ? 100 : Number(process.env['WHARF_TEST_KILLS']) / 2;
const LONGEST_MS = process.env['WHARF_TEST_KILLS'] === undefined ? 40_000 : 3_000_000;
const SEED = Number(process.env['WHARF_TEST_SEED'] ?? randomInt(2 ** 31));
const CLUSTER = 'main';
const EXIT_CODE = 7;
/** So that the machine is not filled. */
const MOST_RUNNING = 6;

class Load {
  /** Tasks that were answered for, by ARN: whether somebody asked them to stop. */
  readonly asked = new Map<string, boolean>();
  #tokens = 0;

  constructor(
    private readonly client: () => ECSClient,
    private readonly random: Random,
  ) {}

  /** Goes on until the platform is gone; what was not answered may or may not have happened. */
  async untilDead(isDead: () => boolean): Promise<void> {
    while (!isDead()) {
      await this.#step().catch(() => undefined);
      await delay(5);
    }
  }

  async #step(): Promise<void> {
    const running = [...this.asked].filter(([, isAsked]) => !isAsked).map(([arn]) => arn);
    const kind = this.random.next();
    if (kind < 0.25) {
      const change = this.random.chance(0.5)
        ? { desiredCount: 1 + this.random.below(2) }
        : { forceNewDeployment: true };
      await this.client().send(new UpdateServiceCommand({ cluster: CLUSTER, service: 'steady', ...change }));
    } else if (kind < 0.5 || running.length >= MOST_RUNNING) {
      const task = running[this.random.below(Math.max(1, running.length))];
      if (task === undefined) return;
      // Asked for, whether or not the answer comes.
      this.asked.set(task, true);
      await this.client().send(new StopTaskCommand({ cluster: CLUSTER, task }));
    } else {
      const taskDefinition = this.random.chance(0.5) ? 'long' : 'short';
      const clientToken = `t${String((this.#tokens += 1))}`;
      const { tasks = [] } = await this.client().send(
        new RunTaskCommand({ cluster: CLUSTER, taskDefinition, clientToken }),
      );
      for (const { taskArn = '' } of tasks) this.asked.set(taskArn, taskDefinition === 'short');
    }
  }
}

requireTools('root', 'runc', 'conmon', 'bridge', 'ip', 'iptables', 'busybox').describe(
  'a platform that is killed',
  () => {
    test(
      'goes on with what ran, starts nothing twice, leaves nothing',
      async () => {
        console.info(`engine.test.ts: seed ${String(SEED)}`);
        const random = new Random(SEED);
        const platform = await PlatformProcess.create();
        let client = await started(platform);
        const load = new Load(() => client, random);
        let kills = 0;
        try {
          const pushed = await runCommand(process.execPath, [
            '--import',
            'tsx',
            'scripts/base-image.ts',
            platform.data,
          ]);
          if (pushed.exitCode !== 0) throw new Error(pushed.stderr);
          await platform.must('cluster', 'create', CLUSTER, '--instances', '2');
          await define(client, 'long', 'echo begun; exec sleep 100000');
          await define(client, 'short', `echo begun; sleep 0.3; exit ${String(EXIT_CODE)}`);
          const service = { serviceName: 'steady', taskDefinition: 'long', desiredCount: 2 };
          await client.send(new CreateServiceCommand({ cluster: CLUSTER, ...service }));

          const end = performance.now() + LONGEST_MS;
          while (kills < KILLS && performance.now() < end) {
            let isDead = false;
            const work = load.untilDead(() => isDead);
            await delay(50 + random.below(600));
            // Every other kill finds something that runs, also where the machine is slow to start it.
            if (kills % 2 === 1) await somethingRuns(client);
            const before = await runtimeIds(client, load);
            await delay(random.below(30));
            await platform.end('SIGKILL');
            isDead = true;
            kills += 1;
            await work;
            client.destroy();
            client = await started(platform);
            const after = await runtimeIds(client, load);
            for (const [arn, id] of before) if (load.asked.get(arn) === false) expect(after.get(arn)).toBe(id);
          }

          await client.send(new DeleteServiceCommand({ cluster: CLUSTER, service: 'steady', force: true }));
          for (const [arn, isAsked] of load.asked) {
            if (!isAsked) await client.send(new StopTaskCommand({ cluster: CLUSTER, task: arn }));
          }
          const ended = await allStopped(client);
          const known = new Set(ended.map(({ taskArn }) => taskArn));
          expect([...load.asked.keys()].filter((arn) => !known.has(arn))).toEqual([]);
          for (const task of ended) await checkEnd(platform, task);
          // Mounts, namespaces, packet rules, cgroups and supervisors name the container they are of.
          const left = (await platform.residue()).filter((line) => /[0-9a-f]{32}-\d{10}/.test(line));
          expect(left).toEqual([]);
          // Tasks did run: what is checked above is not about nothing.
          expect(ended.filter(({ startedAt }) => startedAt !== undefined).length).toBeGreaterThan(0);
          console.info(`engine.test.ts: ${String(kills)} kills, ${String(ended.length)} tasks`);
          expect(kills).toBeGreaterThan(0);
        } finally {
          client.destroy();
          expect(await platform.remove()).toEqual([]);
        }
      },
      LONGEST_MS + 180_000,
    );
  },
);

async function started(platform: PlatformProcess): Promise<ECSClient> {
  const { ecs } = await platform.start();
  const credentials = { accessKeyId: 'any', secretAccessKey: 'any' };
  return new ECSClient({ endpoint: ecs, region: 'us-east-1', credentials, maxAttempts: 1 });
}

/** Until a task is RUNNING, or for so long that the next kill may just as well find none. */
async function somethingRuns(client: ECSClient): Promise<void> {
  const end = performance.now() + 10_000;
  while (performance.now() < end) {
    const tasks = await described(client, await list(client, 'RUNNING')).catch(() => []);
    if (tasks.some(({ lastStatus }) => lastStatus === 'RUNNING')) return;
    await delay(50);
  }
}

async function define(client: ECSClient, family: string, script: string): Promise<void> {
  const app = { name: 'app', image: 'busybox:1', memory: 16, command: ['sh', '-c', script], stopTimeout: 2 };
  await client.send(new RegisterTaskDefinitionCommand({ family, containerDefinitions: [app] }));
}

/** Of the tasks that run and were run by themselves. */
async function runtimeIds(client: ECSClient, load: Load): Promise<ReadonlyMap<string, string>> {
  const tasks = await described(client, [...load.asked.keys()]);
  return new Map(
    tasks.flatMap(({ taskArn = '', lastStatus, containers }) => {
      const id = containers?.[0]?.runtimeId;
      return lastStatus === 'RUNNING' && id !== undefined ? [[taskArn, id] as const] : [];
    }),
  );
}

async function described(client: ECSClient, arns: readonly string[]): Promise<readonly Task[]> {
  const found: Task[] = [];
  for (let at = 0; at < arns.length; at += 100) {
    const { tasks = [] } = await client.send(
      new DescribeTasksCommand({ cluster: CLUSTER, tasks: arns.slice(at, at + 100) }),
    );
    found.push(...tasks);
  }
  return found;
}

async function list(client: ECSClient, desiredStatus: 'RUNNING' | 'STOPPED'): Promise<readonly string[]> {
  const arns: string[] = [];
  let nextToken: string | undefined;
  do {
    const page = await client.send(new ListTasksCommand({ cluster: CLUSTER, desiredStatus, nextToken }));
    arns.push(...(page.taskArns ?? []));
    nextToken = page.nextToken;
  } while (nextToken !== undefined);
  return arns;
}

/** Nothing is stuck: every task there is, asked for by a client or a service, ends. */
async function allStopped(client: ECSClient): Promise<readonly Task[]> {
  const end = performance.now() + 60_000;
  for (;;) {
    // A run whose answer was cut off is there without anyone having asked for its end.
    for (const task of await list(client, 'RUNNING')) {
      await client.send(new StopTaskCommand({ cluster: CLUSTER, task })).catch(() => undefined);
    }
    const tasks = await described(client, await list(client, 'STOPPED'));
    const open = tasks.filter(({ lastStatus }) => lastStatus !== 'STOPPED');
    if (open.length === 0 && (await list(client, 'RUNNING')).length === 0) return tasks;
    if (performance.now() > end) throw new Error(`never ended: ${JSON.stringify(open, undefined, 1)}`);
    await delay(100);
  }
}

async function checkEnd(platform: PlatformProcess, task: Task): Promise<void> {
  const id = task.taskArn?.split('/').at(-1) ?? '';
  const [container] = task.containers ?? [];
  const told = `${id} ${task.stopCode ?? ''} ${task.stoppedReason ?? ''} ${container?.reason ?? ''}`;
  // Every end is one that somebody asked for, or the container's own.
  if (task.stopCode === 'EssentialContainerExited') expect([told, container?.exitCode]).toEqual([told, EXIT_CODE]);
  else
    expect([told, task.stopCode]).toEqual([told, expect.stringMatching(/^(UserInitiated|ServiceSchedulerInitiated)$/)]);
  if (task.startedAt === undefined) return;
  const logs = await (await platform.api(`/v1/clusters/${CLUSTER}/tasks/${id}/logs`)).text();
  expect([told, logs.match(/begun/g)?.length]).toEqual([told, 1]);
}
