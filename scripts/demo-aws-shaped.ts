/**
 * The demo once more, in the shape it has on AWS and without an account: the functions of the synthesised app under a
 * local Lambda runtime, behind a gateway, over stand-ins of S3, DynamoDB, SQS, EventBridge and ECR; the embedded engine
 * is Amazon ECS and scales from no instance. Exit code 0 means that every line marked "ok" was checked.
 */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WharfClient } from '../lib/client/index.js';
import { toAppError } from '../lib/errors/index.js';
import { writeTar } from '../lib/layers/index.js';
import type { Task } from '../lib/platform/index.js';
import { hostResidue } from '../lib/runtime/index.js';
import { type Account, ADMIN_TOKEN, openAccount } from '../test/fakes/account/account.js';
import { type ContainerEcs, startContainerEcs } from '../test/fakes/account/ecs-containers.js';
import { type Synthesis, synthesise } from '../test/synth/synthesis.js';
import { BASE_IMAGE, baseContext } from './base-image.js';
import { newBytes, Releases } from './demo/releases.js';
import { Story } from './demo/story.js';
import { buildWorkerImage } from './worker-image.js';

/** As bin/app.ts names it. */
const CLUSTER = 'wharf';
const SERVICE = 'hello';
/** Schedules of a minute come so often here. */
const SCHEDULE_MS = 2_000;

interface Stage {
  readonly synthesis: Synthesis;
  readonly ecs: ContainerEcs;
  readonly account: Account;
  /** No event and no schedule reaches the account after it. */
  readonly endEvents: () => Promise<void>;
}

const story = new Story();
const folder = await mkdtemp(join(tmpdir(), 'wharf-demo-aws-'));
const source = join(folder, 'hello');
let stage: Stage | undefined;
let failure: unknown;
try {
  await cp('examples/hello', source, { recursive: true });
  stage = await story.step('deploy the synthesised stacks to an account of stand-ins', open);
  await tell(stage, new WharfClient({ url: stage.account.gateway.url, token: ADMIN_TOKEN }));
} catch (error) {
  failure = error;
}
try {
  if (stage !== undefined) await cleanUp(stage);
} catch (error) {
  failure ??= error;
}
if (failure !== undefined) {
  console.error(`\ndemo: ${toAppError(failure).message}\n      its files are left in ${folder}`);
  process.exit(1);
}
await rm(folder, { recursive: true, force: true });
console.log(`\n${story.table()}\n\nEverything above was checked.`);
process.exit(0);

async function open(): Promise<Stage> {
  const synthesis = synthesise();
  const ecs = await startContainerEcs({ data: join(folder, 'data'), cluster: CLUSTER, instances: 2 });
  const account = await openAccount({
    synthesis,
    ecsEndpoint: ecs.endpoint,
    ecrEndpoint: ecs.ecr.endpoint,
    // The instances are this machine.
    settings: { WHARF_PLATFORM: `linux/${process.arch === 'arm64' ? 'arm64' : 'amd64'}` },
  });
  await ecs.grant(account.environment);
  for (const each of account.sources) each.start();
  const underWay = new Set<Promise<unknown>>();
  const send = (what: string, sending: Promise<unknown>): void => {
    const sent = sending.catch((error: unknown) => story.say(`${what}: ${String(error)}`));
    underWay.add(sent);
    void sent.finally(() => underWay.delete(sent));
  };
  let hasEnded = false;
  ecs.engine.onEvent((event) => {
    if (!hasEnded) send('an event was lost', account.bus.put(event));
  });
  const schedule = setInterval(() => {
    if (underWay.size === 0) send('a scheduled call failed', account.bus.fireSchedules());
  }, SCHEDULE_MS);
  const endEvents = async (): Promise<void> => {
    hasEnded = true;
    clearInterval(schedule);
    await Promise.all(underWay);
  };
  story.say(`the gateway answers at ${account.gateway.url}; the cluster has no instance`);
  return { synthesis, ecs, account, endEvents };
}

function releasesOf({ ecs }: Stage, wharf: WharfClient): Releases {
  const names = { cluster: CLUSTER, service: SERVICE, source };
  return new Releases(story, wharf, { ...names, scopeId: ecs.scopeId, longestMs: 180_000 });
}

async function tell(at: Stage, wharf: WharfClient): Promise<void> {
  const { ecs } = at;
  const releases = releasesOf(at, wharf);
  await story.step('make the base image and the worker image, through the API', async () => {
    const base = await wharf.builds.fromTar(writeTar(baseContext()), { tags: [imageName(BASE_IMAGE)] });
    await releases.until(
      'the base image is there',
      async () => (await wharf.builds.get(base.id)).status === 'succeeded',
    );
    story.say(await buildWorkerImage(wharf));
  });
  await wharf.clusters.put(CLUSTER, { instances: 2 });

  const first = await story.step(
    'build release 1: its RUN goes on in a worker',
    () => releases.build(`${SERVICE}:1`),
    newBytes,
  );
  const workers = (): number =>
    ecs.calls.filter(({ operation, input }) => operation === 'RunTask' && input['startedBy'] !== undefined).length;
  story.check('one worker was started, on capacity that started from none', workers() === 1, `${workers()} were`);
  const definition = ecs.calls.find(({ operation }) => operation === 'RegisterTaskDefinition');
  story.check(
    'its image was copied to ECR',
    JSON.stringify(definition).includes(`${ecs.ecr.registry.host}/wharf/build-worker@`),
  );

  await story.step('deploy it as a service of two tasks', async () => {
    await releases.rollOut(await wharf.services.put(CLUSTER, SERVICE, { image: `${SERVICE}:1`, count: 2 }));
    await noWorkerRuns(at, releases);
    await releases.checkTasks('release 1');
  });
  await releases.rebuild(first, `${SERVICE}:2`);
  story.check('no worker was needed', workers() === 1, `${workers()} were`);
  await story.step('roll release 2 out', async () => {
    await releases.rollOut(await wharf.services.put(CLUSTER, SERVICE, { image: `${SERVICE}:2`, count: 2 }));
    await releases.checkTasks('release 2');
  });
  await story.step('roll back to release 1', async () => {
    await releases.rollOut(await wharf.services.rollback(CLUSTER, SERVICE, 1));
    await releases.checkTasks('release 1');
  });
  await story.step('run twelve tasks of no service', () => runTwelve(at, wharf, releases));
}

async function runTwelve({ ecs }: Stage, wharf: WharfClient, releases: Releases): Promise<void> {
  const before = ecs.calls.length;
  const spec = { image: imageName(BASE_IMAGE), command: ['true'], cpu: 2, memory: 16 };
  const { tasks } = await wharf.tasks.runMany(CLUSTER, spec, 12);
  const counts = ecs.calls
    .slice(before)
    .flatMap(({ operation, input }) => (operation === 'RunTask' ? [input['count']] : []));
  story.check('ten and two were started together', tasks.length === 12 && counts.join() === '10,2', counts.join());
  const now = (): Promise<Task[]> => Promise.all(tasks.map(({ id }) => wharf.tasks.get(CLUSTER, id)));
  await releases.until('all have ended', async () => (await now()).every(({ status }) => status === 'STOPPED'));
  const codes = (await now()).flatMap(({ containers }) => containers.map(({ exitCode }) => exitCode));
  story.check('each ended by itself, with 0', codes.length === 12 && codes.every((code) => code === 0), codes.join());
}

async function noWorkerRuns(at: Stage, releases: Releases): Promise<void> {
  await releases.until(
    'the worker has stopped',
    async () => (await running(at, `${CLUSTER}--build-worker`)).length === 0,
  );
}

async function running({ ecs }: Stage, family?: string): Promise<readonly string[]> {
  const asked = { cluster: CLUSTER, desiredStatus: 'RUNNING', ...(family === undefined ? {} : { family }) };
  const { taskArns } = await ecs.ask('ListTasks', asked);
  return taskArns as readonly string[];
}

function imageName({ repository, tag }: { readonly repository: string; readonly tag: string }): string {
  return `${repository}:${tag}`;
}

async function cleanUp(at: Stage): Promise<void> {
  const { synthesis, ecs, account, endEvents } = at;
  await story.step('stop everything', async () => {
    const wharf = new WharfClient({ url: account.gateway.url, token: ADMIN_TOKEN });
    const releases = releasesOf(at, wharf);
    await wharf.services.remove(CLUSTER, SERVICE).catch(() => undefined);
    for (const task of await running(at)) await ecs.ask('StopTask', { cluster: CLUSTER, task });
    await releases.until('no task runs', async () => {
      const { clusters } = await ecs.ask('DescribeClusters', { clusters: [CLUSTER] });
      const [cluster] = clusters as readonly {
        readonly runningTasksCount: number;
        readonly pendingTasksCount: number;
      }[];
      return cluster?.runningTasksCount === 0 && cluster.pendingTasksCount === 0;
    });
    await endEvents();
    const failed = account.sources.flatMap(({ failures }) => failures);
    story.check('no invocation of a function failed', failed.length === 0, failed.join('; '));
    await account.close();
    await ecs.close();
    synthesis.remove();
    const left = await hostResidue({ id: ecs.scopeId, directory: join(folder, 'data', 'runtime') });
    story.check('no process, mount, network namespace, bridge or rule is left', left.length === 0, left.join('; '));
  });
}
