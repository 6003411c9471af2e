/**
 * Everything at once in bad weather: throttled calls, failures, cut connections and outages of every service, events
 * that come twice, in any order or never. Callers ask again until they are told that it was done. In the end each of
 * them has what they asked for, once.
 */
import { inspect } from 'node:util';
import { expect } from '@jest/globals';
import type { Build } from '../../../lib/build/index.js';
import { writeTar } from '../../../lib/layers/index.js';
import { membersOf } from '../../build/fixture.js';
import { Random } from '../../interleave/random.js';
import { CLUSTER, type CallOptions, type KillLab, SCHEDULED } from './lab.js';
import { IMAGE, OTHER_IMAGE } from './service-operations.js';
import { pullable, serviceTruth } from './truth.js';

const MOST_TRIES = 60;
/** Of the platform, until what was asked for holds: counted and not timed, since a round grows with all that was deployed before. */
const MOST_ROUNDS = 40;

/** What the outside does: callers that insist, a queue that delivers as queues do, a schedule. */
class Outside {
  private isOver = false;
  private taken = 0;
  private rounds = 0;

  constructor(
    private readonly lab: KillLab,
    private readonly random: Random,
  ) {}

  /** Asks until the answer is this, an hour later after the first refusal: claims of the first try have run out then. */
  async insist(wanted: number, method: string, path: string, options: CallOptions = {}) {
    let last = '';
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      const hour = tries === 0 ? this.lab.now : this.lab.later;
      const { status, body } = await hour.call(method, path, options);
      if (status === wanted) return body;
      last = `${status} ${JSON.stringify(body)}`;
    }
    throw new Error(`${method} ${path} never gave ${wanted}: ${last}`);
  }

  async until(what: string, holds: () => Promise<boolean>): Promise<void> {
    const last = this.rounds + MOST_ROUNDS;
    while (this.rounds <= last) {
      if (await holds().catch(() => false)) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`never came about in ${MOST_ROUNDS} rounds of the platform: ${what}`);
  }

  /** Events and schedules until `end`; whatever fails comes again. */
  async live(): Promise<void> {
    while (!this.isOver) {
      await this.deliver();
      await this.lab.later
        .fn('reconciler')
        .invoke(SCHEDULED)
        .catch(() => undefined);
      this.rounds += 1;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  end(): void {
    this.isOver = true;
  }

  private async deliver(): Promise<void> {
    const { events } = this.lab.cloud.ecs;
    const fresh = events.slice(this.taken);
    this.taken = events.length;
    // A tenth is lost, a tenth comes twice, and no order is kept.
    const kept = fresh.filter(() => !this.random.chance(0.1));
    const bodies = [...kept, ...kept.filter(() => this.random.chance(0.1))].map((event) => JSON.stringify(event));
    for (const body of bodies.sort(() => this.random.next() - 0.5)) {
      const record = { messageId: 'm', receiptHandle: 'r', body, attributes: { ApproximateReceiveCount: '1' } };
      await this.lab.now
        .fn('reconciler')
        .invoke({ Records: [record] })
        .catch(() => undefined);
    }
  }
}

async function aService(lab: KillLab, outside: Outside, name: string): Promise<void> {
  const path = `/v1/clusters/${CLUSTER}/services/${name}`;
  const ended = (release: number) =>
    outside.until(`release ${release} of ${name} is deployed`, async () => {
      const { deployment } = await lab.later.client.services.get(CLUSTER, name);
      return deployment?.release === release && deployment.status === 'completed';
    });
  const specs = [
    { image: IMAGE, count: 1, ports: [{ container: 8080 }] },
    { image: IMAGE, count: 3, ports: [{ container: 8080 }] },
    { image: OTHER_IMAGE, count: 2, ports: [{ container: 8080 }] },
  ];
  for (const [index, json] of specs.entries()) {
    // 200 when a try that was not heard had done it.
    await outside.until(`${name} is taken`, async () => {
      const { status } = await lab.later.call('PUT', path, { json });
      return status === 202 || status === 200;
    });
    await ended(index + 1);
  }
  await outside.insist(202, 'POST', `${path}/rollback`, { json: {}, key: `back-${name}` });
  await ended(4);
}

async function aTask(lab: KillLab, outside: Outside, name: string): Promise<void> {
  const options = { json: { image: IMAGE, env: { WORLD: name } }, key: `task-${name}` };
  const { id } = await outside.insist(201, 'POST', `/v1/clusters/${CLUSTER}/tasks`, options);
  const runs = lab.cloud.ecs.agent.runs.filter(({ containers }) =>
    containers.some(({ environment }) => environment.includes(`WORLD=${name}`)),
  );
  expect([...new Set(runs.map(({ taskId }) => taskId))]).toEqual([id]);
}

async function aBuild(lab: KillLab, outside: Outside, name: string): Promise<void> {
  const chunks: Uint8Array[] = [];
  const files = { Dockerfile: 'FROM scratch\nCOPY page /page\nCOPY Dockerfile /\n', page: name };
  for await (const chunk of writeTar(membersOf(files))) chunks.push(chunk);
  // The fifth outage fails a build, which says so: tries come at once here, and up to two minutes apart on AWS.
  for (let asked = 0; asked < 3; asked += 1) {
    const options = { tar: Buffer.concat(chunks), key: `build-${name}-${asked}` };
    const { id } = await outside.insist(202, 'POST', `/v1/builds?tag=weather/${name}:1`, options);
    const { status, error } = await built(lab, String(id));
    if (status === 'succeeded') return;
    expect([status, error?.code]).toEqual(['failed', 'STORE_UNAVAILABLE']);
  }
  throw new Error(`${name} met outages at all of its tries`);
}

/** By looks of its own: a try that meets an outage takes the time of many rounds of the reconciler. */
async function built(lab: KillLab, id: string): Promise<Build> {
  let last: unknown;
  for (let looks = 0; looks < MOST_ROUNDS; looks += 1) {
    try {
      await lab.later.fn('builder').invoke(SCHEDULED);
      for (const event of await lab.eventsOf(id)) await lab.later.fn('builder').invoke(event);
      const build = await lab.later.client.builds.get(id);
      if (build.finishedMs !== undefined) return build;
      last = build;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`build ${id} did not end in ${MOST_ROUNDS} looks of the builder: ${inspect(last)}`);
}

/** For each of these: a service with four releases, a task and a build, all at the same time. */
export async function liveThrough(lab: KillLab, seed: number, names: readonly string[]): Promise<void> {
  const outside = new Outside(lab, new Random(seed + 1));
  lab.weather.turnBad(new Random(seed));
  const life = outside.live();
  try {
    const doings = names.flatMap((name) => [
      aService(lab, outside, name),
      aTask(lab, outside, `t${name}`),
      aBuild(lab, outside, name),
    ]);
    // To the end of each, also when one fails: they share the account.
    for (const doing of await Promise.allSettled(doings)) if (doing.status === 'rejected') throw doing.reason;
  } finally {
    lab.weather.turnGood();
    outside.end();
    await life;
  }
  await lab.later.fn('reconciler').invoke(SCHEDULED);
  for (const name of names) {
    expect(await pullable(lab, `weather/${name}`, '1')).toBe(true);
    const truth = await serviceTruth(lab, name);
    expect(truth).toMatchObject({ releases: [4, 3, 2, 1], deployment: 'completed', ecs: 'ACTIVE 3' });
    expect(truth?.tasks[0]).toBe(3);
    expect(truth?.told).toEqual({ 'release-created': 4, 'deployment-completed': 4 });
  }
}
