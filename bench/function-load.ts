/** Events as the demo and a small team send them, kind by kind, for each function of the synthesised app. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withContext } from '../lib/cli/send-context.js';
import { WharfClient } from '../lib/client/index.js';
import { writeTar } from '../lib/layers/index.js';
import { digestOf } from '../lib/oci/index.js';
import { systemClock } from '../lib/store/system/clock-system.js';
import { type Files, membersOf } from '../test/build/fixture.js';
import type { LambdaFunction } from '../test/fakes/lambda/function.js';
import { buildImage, submit } from '../test/lambdas/builds.js';
import { ADMIN_TOKEN, type Cloud, openCloud } from '../test/lambdas/cloud.js';
import { type ImageResourceFunction, openImageResourceFunction } from '../test/lambdas/image-resource-function.js';
import { addCluster } from '../test/lambdas/instance.js';
import { Wire } from '../test/protocol/registry/wire.js';

export interface Step {
  readonly fn: string;
  readonly id: string;
  readonly what: string;
  readonly target: LambdaFunction;
  /** @param id of this round, so that nothing is there already. @returns what is measured */
  prepare(id: string): Promise<() => Promise<unknown>>;
}

export interface FunctionLoad {
  readonly steps: readonly Step[];
  /** Of services, by functions and by this load together, so far. */
  calls(): number;
  close(): Promise<void>;
}

const CLUSTER = 'wharf';
const SCHEDULED = { source: 'aws.events', 'detail-type': 'Scheduled Event' };
const HELLO: Files = { Dockerfile: 'FROM scratch\nCOPY page /page\nCMD ["/server"]\n', page: 'hello' };
const SERVICE = { image: 'team/web:1', count: 2, ports: [{ container: 8080 }] };

export async function openFunctionLoad(): Promise<FunctionLoad> {
  let calls = 0;
  const counted = (): undefined => void (calls += 1);
  const faults = { s3: counted, dynamoDb: counted, sqs: counted, ecs: counted, ecr: counted };
  const cloud = await openCloud(faults);
  const images = await openImageResourceFunction(cloud);
  await addCluster(cloud.ecs, CLUSTER, { instanceType: 'large', cpu: 1_000_000, memory: 1_000_000 });
  await new WharfClient({ url: cloud.gateway.url, token: ADMIN_TOKEN }).clusters.put(CLUSTER, { instances: 1 });
  await buildImage(cloud, 'team/web:1', 'one');
  const own = [...apiSteps(cloud), ...registrySteps(cloud), ...reconcilerSteps(cloud), ...builderSteps(cloud)];
  const steps = [...own, collectorStep(cloud), ...imageSteps(cloud, images)];
  return {
    steps: steps.map((step, at) => ({ ...step, id: `s${at}` })),
    calls: () => calls,
    async close() {
      await images.close();
      await cloud.close();
    },
  };
}

type Kind = Omit<Step, 'id'>;
type Steps = (what: string, prepare: Step['prepare']) => Kind;

const of =
  (fn: string, target: LambdaFunction): Steps =>
  (what, prepare) => ({ fn, target, what, prepare });

function apiSteps(cloud: Cloud): readonly Kind[] {
  const client = new WharfClient({ url: cloud.gateway.url, token: ADMIN_TOKEN });
  const step = of('api', cloud.fn('api'));
  return [
    step('a list', async () => () => client.services.list(CLUSTER)),
    step('a build of a tar', async (id) => {
      const members = membersOf({ ...HELLO, page: id });
      return () => client.builds.fromTar(writeTar(members), { tags: [`api/${id}:1`] });
    }),
    step('requests of a context of 8 MiB', async (id) => () => submitLarge(client, id, 8)),
    step('a service', async (id) => () => client.services.put(CLUSTER, `api-${id}`, SERVICE)),
    step('a task', async () => () => client.tasks.run(CLUSTER, { image: SERVICE.image })),
    step('ten tasks', async () => () => client.tasks.runMany(CLUSTER, { image: SERVICE.image }, 10)),
  ];
}

function registrySteps(cloud: Cloud): readonly Kind[] {
  const wire = new Wire({ url: cloud.gateway.url, tokens: { admin: ADMIN_TOKEN, deploy: '', read: '' } });
  const step = of('registry', cloud.fn('registry'));
  return [
    step('a manifest', async () => () => wire.send('GET', '/v2/team/web/manifests/1')),
    step('requests of a push of 12 MB in three chunks', async (id) => {
      const bytes = randomBytes(12e6);
      return () => wire.push(`pushed/${id}`, bytes, 'chunks');
    }),
    step('a blob below 256 KiB', async (id) => {
      const bytes = Buffer.from(`small ${id}`);
      await wire.push(`small/${id}`, bytes);
      return () => wire.send('GET', `/v2/small/${id}/blobs/${digestOf(bytes)}`);
    }),
  ];
}

function reconcilerSteps(cloud: Cloud): readonly Kind[] {
  const target = cloud.fn('reconciler');
  const step = of('reconciler', target);
  const batch = (): object => ({
    Records: cloud.ecs.events.slice(-10).map((event, n) => ({
      ...{ messageId: `m${n}`, receiptHandle: 'r', body: JSON.stringify(event) },
      attributes: { ApproximateReceiveCount: '1' },
    })),
  });
  return [
    step('ten events', async () => () => target.invoke(batch())),
    step('the look of every minute', async () => () => target.invoke(SCHEDULED)),
  ];
}

function builderSteps(cloud: Cloud): readonly Kind[] {
  const client = new WharfClient({ url: cloud.gateway.url, token: ADMIN_TOKEN });
  const target = cloud.fn('builder');
  const step = of('builder', target);
  const build = async (files: Files, tag: string): Promise<() => Promise<unknown>> => {
    await drain(cloud);
    const { event } = await submit(cloud, files, tag);
    return () => target.invoke(event);
  };
  return [
    step('a small build', (id) => build({ ...HELLO, page: id }, `built/${id}:1`)),
    step('the same again, all of it in the cache', (id) => build(HELLO, `built/${id}:1`)),
    step('a build of 64 MiB that nothing makes smaller', async (id) => {
      await drain(cloud);
      await submitLarge(client, id, 64);
      const [event] = await cloud.takeBuildEvents();
      return () => target.invoke(event);
    }),
    step('the look of every minute', async () => () => target.invoke(SCHEDULED)),
  ];
}

/** For whom a second is half a day, in all its processes, so that each call finds the last pass long over. */
const neverRests = (): string => {
  const from = Date.now();
  const shift = `const { now } = Date; Date.now = () => ${from} + (now() - ${from}) * 43200;`;
  return `--import=data:text/javascript,${encodeURIComponent(shift)}`;
};

function collectorStep(cloud: Cloud): Kind {
  const target = cloud.another('collector', { NODE_OPTIONS: neverRests() });
  const step = of('collector', target);
  return step('a pass over what all this left', async () => () => target.invoke(SCHEDULED));
}

function imageSteps(cloud: Cloud, images: ImageResourceFunction): readonly Kind[] {
  const { fn: target } = images;
  const step = of('image-resource', target);
  const built = async (repository: string, files: Files): Promise<object> => {
    await drain(cloud);
    const event = await images.wanted(repository, files);
    const begun = await target.invoke<object>(event);
    for (const message of await cloud.takeBuildEvents()) await cloud.fn('builder').invoke(message);
    return { ...event, ...begun };
  };
  return [
    step('an image that is begun', async (id) => {
      const event = await images.wanted(`begun-${id}`, { ...HELLO, page: id });
      return () => target.invoke(event);
    }),
    step('one that is done, copied to ECR', async (id) => {
      const event = await built(`done-${id}`, { ...HELLO, page: id });
      return () => target.invoke(event);
    }),
    step('one of 64 MiB, copied to ECR', async (id) => {
      const large = { content: randomBytes(64 * 1024 ** 2) };
      const event = await built(`large-${id}`, { Dockerfile: 'FROM scratch\nCOPY large /large\n', large });
      return () => target.invoke(event);
    }),
  ];
}

/** Of builds that only the API was to take. */
async function drain(cloud: Cloud): Promise<void> {
  while ((await cloud.takeBuildEvents()).length > 0);
}

/** A file of random bytes, sent as `wharf build` does. */
async function submitLarge(client: WharfClient, id: string, mebibytes: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'wharf-bench-context-'));
  try {
    await writeFile(join(folder, 'Dockerfile'), 'FROM scratch\nCOPY large /large\n');
    await writeFile(join(folder, 'large'), randomBytes(mebibytes * 1024 ** 2));
    const deps = { client, cwd: folder, env: { XDG_CACHE_HOME: folder }, clock: systemClock };
    await withContext(deps, { folder: '.' }, (context, dockerfile) =>
      client.builds.fromContext({ context, dockerfile, tags: [`large/${id}:1`] }),
    );
  } finally {
    await rm(folder, { recursive: true });
  }
}
