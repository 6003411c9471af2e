/**
 * One schedule: clients and a collector on one store, call by call in an order that the seed decides. Phases of work
 * are parted by hours or days, so that leases, edges, histories and graces run out in the midst of it. Clients may be
 * killed at any call. In the end everything is deleted, and after some quiet passes nothing may be left.
 */
import type { Digest } from '../../lib/oci/index.js';
import { type Collected, Collector, type CollectorDeps } from '../../lib/registry/collector/index.js';
import { Registry } from '../../lib/registry/index.js';
import { ContentStore, type Ids, type RecordStore, type SecretStore } from '../../lib/store/index.js';
import { manualClock, type ManualClock } from '../fakes/manual-clock.js';
import { act, type Client, deleteEverything } from './clients.js';
import { Ledger } from './ledger.js';
import { residue, type Stores, violations } from './oracle.js';
import { Random } from './random.js';
import { Scheduler } from './scheduler.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const JUMPS = [10 * MINUTE, HOUR, 2 * HOUR, 2 * HOUR, 3 * HOUR, 25 * HOUR, 6 * DAY, 8 * DAY];
/** Within a phase; less than what lies between FRESH_MS and SETTLED_MS. */
const LONGEST_PHASE_MS = 39 * MINUTE;
const COLLECTOR = 0;

export interface World {
  readonly stores: Stores;
  readonly clock: ManualClock;
  readonly ids: Ids;
}

export interface ScheduleOptions {
  readonly phases?: number;
  readonly clients?: number;
  /** Breaks a rule of the registry or of the collector, to see whether that is noticed. */
  readonly sabotage?: {
    readonly registry?: (records: RecordStore) => RecordStore;
    readonly collector?: (records: RecordStore) => RecordStore;
  };
}

export interface Outcome {
  readonly wrong: readonly string[];
  readonly calls: number;
  readonly collected: Collected;
}

export async function runSchedule(seed: number, world: World, options: ScheduleOptions = {}): Promise<Outcome> {
  const random = new Random(seed);
  const { stores, clock } = world;
  const ledger = new Ledger(clock);
  const pinned: { readonly repository: string; readonly digest: Digest }[] = [];
  const total: Record<string, number> = {};
  let calls = 0;
  const outcome = (wrong: readonly string[]): Outcome => ({ wrong, calls, collected: total as unknown as Collected });
  for (let phase = options.phases ?? 3; phase > 0; phase--) {
    let passed = 0;
    const scheduler = new Scheduler(random, () => {
      const step = random.chance(0.02) ? random.below(15) * MINUTE : 0;
      if (passed + step > LONGEST_PHASE_MS) return;
      passed += step;
      clock.advance(step);
    });
    const actors = new Map<number, Promise<void>>();
    for (let actor = 1; actor <= (options.clients ?? 3); actor++) {
      const records = options.sabotage?.registry?.(stores.records) ?? stores.records;
      const client = clientOf(
        world,
        scheduler.records(actor, records),
        scheduler.blobs(actor, stores.blobs),
        random,
        ledger,
      );
      actors.set(actor, act(client));
      if (random.chance(0.1)) killAfter(scheduler, actor, random);
    }
    const records = options.sabotage?.collector?.(stores.records) ?? stores.records;
    const collector = collectorOf(
      world,
      scheduler.records(COLLECTOR, records),
      scheduler.blobs(COLLECTOR, stores.blobs),
      {
        async *list() {
          yield* pinned;
        },
      },
    );
    actors.set(COLLECTOR, passes(collector, 2, total));
    try {
      await scheduler.drive(actors);
    } catch (error) {
      return outcome([`an operation failed: ${String(error)}`]);
    } finally {
      calls += scheduler.calls;
    }
    const wrong = [...(await violations(stores)), ...(await missing(stores, ledger, pinned))];
    if (wrong.length > 0) return outcome(wrong);
    if (pinned.length === 0) pinned.push(...ledger.acknowledged(DAY).slice(0, 1));
    clock.advance(random.pick(JUMPS));
  }
  if (options.sabotage !== undefined) return outcome([]);
  pinned.splice(0);
  await deleteEverything(clientOf(world, stores.records, stores.blobs, random, ledger));
  clock.advance(100 * DAY);
  const last = collectorOf(world, stores.records, stores.blobs);
  for (let quiet = 0; quiet < 8; quiet++) {
    add(total, (await last.pass()).collected);
    clock.advance(2 * HOUR);
  }
  return outcome((await residue(stores)).map((left) => `left over: ${left}`));
}

async function passes(collector: Collector, count: number, total: Record<string, number>): Promise<void> {
  for (let left = count; left > 0; left--) add(total, (await collector.pass()).collected);
}

function add(total: Record<string, number>, collected: Collected): void {
  for (const [name, count] of Object.entries(collected)) total[name] = (total[name] ?? 0) + (count as number);
}

/** Pushed within the grace for manifests without a tag, or pinned, and deleted by nobody. */
async function missing(stores: Stores, ledger: Ledger, pinned: readonly { repository: string; digest: string }[]) {
  const recent = ledger.acknowledged(6 * DAY);
  const kept = ledger
    .acknowledged(Infinity)
    .filter((each) =>
      pinned.some(({ repository, digest }) => repository === each.repository && digest === each.digest),
    );
  const wrong: string[] = [];
  for (const { repository, digest } of [...recent, ...kept]) {
    const found = await stores.records.get({ partition: `REPO#${repository}`, sort: `MAN#${digest}` });
    if (found === undefined) wrong.push(`${repository}@${digest} was acknowledged and is not stored`);
  }
  return wrong;
}

function killAfter(scheduler: Scheduler, actor: number, random: Random): void {
  scheduler.killAt(actor, scheduler.calls + random.below(150));
}

function collectorOf(
  { clock }: World,
  records: RecordStore,
  blobs: Stores['blobs'],
  pins?: CollectorDeps['pins'],
): Collector {
  const content = new ContentStore(blobs, records, clock);
  return new Collector({ records, content, clock, ...(pins === undefined ? {} : { pins }) });
}

function clientOf(
  { clock, ids }: World,
  records: RecordStore,
  blobs: Stores['blobs'],
  random: Random,
  ledger: Ledger,
): Client {
  const content = new ContentStore(blobs, records, clock);
  const registry = new Registry({ records, content, clock, ids, secrets });
  return { registry, content, clock, random, ledger };
}

/** Counts up: the same seed gives the same ids. */
export function countingIds(): Ids {
  let count = 0;
  return {
    ulid: () => String(++count).padStart(26, '0'),
    hex: (bytes) => (++count).toString(16).padStart(bytes * 2, '0'),
  };
}

export function startClock(): ManualClock {
  return manualClock(Date.UTC(2026, 11, 1));
}

const secrets: SecretStore = {
  get: async () => 'a secret for tests',
  put: async () => {},
  delete: async () => {},
  list: async () => [],
};
