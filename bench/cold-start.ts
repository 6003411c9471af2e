/**
 * Cold starts: from no process to the first answer, for each bundle as `cdk synth` leaves it and for a handler that
 * does nothing, in turns and under the same local Lambda runtime. What an empty one costs is the runtime's, not ours;
 * a function may take at most three times as long.
 */
import { chmod, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FunctionSettings } from '../test/fakes/lambda/environment.js';
import { LambdaFunction } from '../test/fakes/lambda/function.js';
import { eventOf } from '../test/fakes/lambda/gateway.js';
import { writeBundle } from '../test/lambdas/write-bundle.js';
import { type Cloud, openCloud } from '../test/lambdas/cloud.js';
import { median, short, table } from './figures.js';
import type { Session } from './session.js';

const MOST_TIMES = 3;

interface Subject {
  readonly name: string;
  readonly settings: FunctionSettings;
  /** Answered without much work: the start is measured, not the work. */
  readonly event: object;
}

export interface ColdStartSettings {
  readonly rounds: number;
  readonly only?: string;
}

export async function benchColdStart(session: Session, { rounds, only = '' }: ColdStartSettings): Promise<void> {
  const { folder } = session;
  const cloud = await openCloud();
  session.defer(() => cloud.close());
  const empty = await emptyFunction(cloud, folder);
  const others = (await subjects(cloud, folder)).filter(({ name }) => name.includes(only));
  const times = new Map<string, number[]>();
  for (let round = 0; round < rounds; round += 1) {
    for (const subject of [empty, ...others]) {
      const ms = await firstAnswerMs(subject);
      times.set(subject.name, [...(times.get(subject.name) ?? []), ms]);
      session.record('cold-start', { function: subject.name, round, ms });
    }
  }
  const base = median(times.get(empty.name) ?? []);
  const rows = [...times].map(([name, all]) => {
    const ms = median(all);
    return { cells: [name, short(ms), short(ms / base)], isOver: ms > MOST_TIMES * base };
  });
  console.log(table([['function', 'ms to the first answer', 'times an empty one'], ...rows.map(({ cells }) => cells)]));
  const over = rows.filter(({ isOver }) => isOver).map(({ cells }) => cells[0]);
  if (over.length === 0) return;
  process.exitCode = 1;
  console.log(`\nmore than ${MOST_TIMES} times an empty handler: ${over.join(', ')}`);
}

async function firstAnswerMs({ settings, event }: Subject): Promise<number> {
  const fn = new LambdaFunction(settings);
  const started = performance.now();
  try {
    await fn.invoke(event);
    return performance.now() - started;
  } finally {
    await fn.close();
  }
}

async function emptyFunction(cloud: Cloud, folder: string): Promise<Subject> {
  const code = await readableFolder(folder, 'empty-');
  await writeFile(join(code, 'index.mjs'), 'export const handler = async () => ({ statusCode: 204 });\n');
  return { name: 'an empty handler', settings: { ...cloud.fn('registry').settings, code }, event: {} };
}

async function subjects(cloud: Cloud, folder: string): Promise<readonly Subject[]> {
  const get = (url: string): object => eventOf({ method: 'GET', url, headers: { host: 'x' } }, Buffer.alloc(0));
  const message = (body: object): object => ({
    Records: [{ messageId: 'm', receiptHandle: 'r', body: JSON.stringify(body), attributes: {} }],
  });
  const foreign = { detail: { clusterArn: 'arn:aws:ecs:eu-central-1:1:cluster/foreign' }, resources: [] };
  const events: Readonly<Record<string, object>> = {
    api: get('/healthz'),
    registry: get('/v2/'),
    builder: message({ build: 'none' }),
    reconciler: message(foreign),
    collector: { source: 'aws.events', 'detail-type': 'Scheduled Event' },
  };
  const deployed = Object.entries(events).map(([name, event]) => ({ name, settings: cloud.fn(name).settings, event }));
  return [...deployed, await imageResource(cloud, folder)];
}

/** Only apps with a `DockerfileImage` have it; its settings are some of the builder's. */
async function imageResource(cloud: Cloud, folder: string): Promise<Subject> {
  const code = await readableFolder(folder, 'image-');
  await writeBundle('image-resource', code);
  const event = { RequestType: 'Delete', RequestId: 'r', PhysicalResourceId: 'nobody', ResourceProperties: {} };
  return { name: 'image-resource', settings: { ...cloud.fn('builder').settings, code }, event };
}

/** Also for the user that functions run as. */
async function readableFolder(parent: string, prefix: string): Promise<string> {
  const folder = await mkdtemp(join(parent, prefix));
  await chmod(folder, 0o755);
  return folder;
}
