/** Builds that go on elsewhere: given to a worker of their own, looked after, and never lost or made twice. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { leaseKey } from '../../lib/build/build-records.js';
import {
  type BuildFunction,
  type BuildTasks,
  BuildWorker,
  HandOver,
  type HandOverOptions,
  ImageBuilder,
  type Sandbox,
  sandboxElsewhere,
} from '../../lib/build/index.js';
import { AppError } from '../../lib/errors/index.js';
import { type RecordStore, silentLogger } from '../../lib/store/index.js';
import { mortalRecords } from '../fakes/mortal-records.js';
import { buildFixture, type BuildFixture } from './fixture.js';

/** Where workers would run: idempotent as RunTask is, and told by the test what became of them. */
class ScriptedTasks implements BuildTasks {
  readonly started: string[] = [];
  readonly stopped: string[] = [];
  readonly ended = new Map<string, string>();
  refusal: AppError | 'no place' | undefined;

  start(build: string, attempt: number): Promise<string | undefined> {
    if (this.refusal === 'no place') return Promise.resolve(undefined);
    if (this.refusal !== undefined) return Promise.reject(this.refusal);
    const task = `${build}/${attempt}`;
    if (!this.started.includes(task)) this.started.push(task);
    return Promise.resolve(task);
  }

  look(task: string): ReturnType<BuildTasks['look']> {
    const reason = this.ended.get(task);
    return Promise.resolve(reason === undefined ? { status: 'under-way' } : { status: 'stopped', reason });
  }

  stop(task: string): Promise<void> {
    this.stopped.push(task);
    return Promise.resolve();
  }
}

/** Counts what is run; every command ends well and changes nothing. */
class CountingSandbox implements Sandbox {
  runs = 0;
  async run<T>(_: unknown, collect: (changes: AsyncIterable<never>) => Promise<T>): Promise<{ exitCode: 0; value: T }> {
    this.runs += 1;
    return { exitCode: 0, value: await collect(NOTHING) };
  }
}
const NOTHING: AsyncIterable<never> = (async function* () {})();

const FILES = { Dockerfile: 'FROM scratch\nCOPY a /a\nRUN ["/x"]\nCOPY a /b\n', a: 'a' };

let f: BuildFixture;
let tasks: ScriptedTasks;
let sandbox: CountingSandbox;
beforeEach(async () => {
  f = await buildFixture({ sandbox: () => Promise.resolve(sandboxElsewhere) });
  tasks = new ScriptedTasks();
  sandbox = new CountingSandbox();
});
afterEach(() => f.close());

function handOver(options: HandOverOptions = {}, records: RecordStore = f.store.records): HandOver {
  return new HandOver({ builds: f.builds, records, tasks, clock: f.store.clock, logger: silentLogger }, options);
}

function worker(build: BuildFunction, over?: HandOver, records: RecordStore = f.store.records): BuildWorker {
  const { clock, ids } = f.store;
  const deps = { builds: f.builds, records, queue: f.queue, clock, ids, logger: silentLogger, build };
  return new BuildWorker(over === undefined ? deps : { ...deps, handOver: over }, { leaseMs: 60_000 });
}

/** The function takes what waits in the queue. */
async function invoke(over: HandOver, records?: RecordStore): Promise<void> {
  const messages = await f.queue.receive({ max: 10, visibilitySeconds: 30, waitSeconds: 0 });
  for (const message of messages) await worker(f.builder.build, over, records).handle(message);
}

function elsewhere(): BuildWorker {
  const platform = { os: 'linux', architecture: 'amd64' } as const;
  const { records, content, clock, ids } = f.store;
  const builder = new ImageBuilder({ records, content, clock, ids, images: f.registry, sandbox }, { platform });
  return worker(builder.build);
}

async function submit(): Promise<string> {
  return (await f.builds.submit({ context: await f.context(FILES), tags: ['app:1'] })).id;
}

async function until(claim: string, holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 20_000;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`never came about: ${claim}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function texts(id: string): Promise<string[]> {
  const events: string[] = [];
  for await (const { event } of f.builds.follow(id, 0)) {
    if (event.type === 'message') events.push(event.text);
    if (event.type === 'step-finished') events.push(`${event.step} ${event.cached ? 'cached' : 'made'}`);
  }
  return events;
}

describe('a build whose RUN is not in the cache', () => {
  test('goes on in a worker, which makes only what was not made yet', async () => {
    const id = await submit();
    await invoke(handOver());
    expect(tasks.started).toEqual([`${id}/1`]);
    expect(await f.builds.get(id)).toMatchObject({ status: 'running' });
    expect(await elsewhere().work(id)).toBe(true);
    expect(await f.builds.get(id)).toMatchObject({ status: 'succeeded', result: { stepsCached: 1 } });
    expect(await texts(id)).toEqual([
      '1 made',
      'Dockerfile:3:1: RUN needs a container: the build goes on in a worker of its own',
      '1 cached',
      '2 made',
      '3 made',
    ]);
    expect(sandbox.runs).toBe(1);
  });

  test('needs no worker the next time', async () => {
    const first = await submit();
    await invoke(handOver());
    await elsewhere().work(first);
    const second = await submit();
    await invoke(handOver());
    expect(tasks.started).toEqual([`${first}/1`]);
    expect(await f.builds.get(second)).toMatchObject({ status: 'succeeded', result: { stepsCached: 3 } });
  });

  test('is not taken by another function while its worker is awaited', async () => {
    const id = await submit();
    await invoke(handOver());
    await f.builds.enqueue(id, { again: true });
    await invoke(handOver());
    expect([tasks.started.length, (await f.builds.get(id))?.status]).toEqual([1, 'running']);
  });

  test('is cancelled before its worker begins: the task is stopped at once', async () => {
    const id = await submit();
    await invoke(handOver());
    await f.builds.cancel(id);
    await invoke(handOver());
    expect(tasks.stopped).toEqual([`${id}/1`]);
    expect(await f.builds.get(id)).toMatchObject({ status: 'cancelled' });
    expect(await elsewhere().work(id)).toBe(true);
    expect(sandbox.runs).toBe(0);
  });

  test('gets another worker when one is lost, and says why the last of three was', async () => {
    const id = await submit();
    await invoke(handOver());
    for (const attempt of [1, 2, 3]) {
      tasks.ended.set(`${id}/${attempt}`, 'OutOfMemoryError: container killed');
      await handOver().sweep();
    }
    expect(tasks.started).toEqual([1, 2, 3].map((attempt) => `${id}/${attempt}`));
    expect(await f.builds.get(id)).toMatchObject({
      status: 'failed',
      error: { code: 'BUILD_WORKER_LOST', message: expect.stringMatching(/3 times, at last: OutOfMemoryError/) },
    });
    expect((await texts(id)).filter((text) => text.startsWith('The worker stopped (OutOf'))).toHaveLength(2);
  });

  test('is left alone while a worker holds its lease, whatever ECS says', async () => {
    const id = await submit();
    await invoke(handOver());
    tasks.ended.set(`${id}/1`, 'an event about another time');
    await f.store.records.put(leaseKey(id), { owner: 'worker' }, { expiresAtMs: f.store.clock.nowMs() + 60_000 });
    await handOver().look(id);
    expect(tasks.started).toEqual([`${id}/1`]);
  });

  test('waits while there is no place, for a bounded time', async () => {
    const id = await submit();
    tasks.refusal = 'no place';
    await invoke(handOver());
    await handOver().sweep();
    expect(await f.builds.get(id)).toMatchObject({ status: 'running' });
    await handOver({ startMs: -1 }).sweep();
    expect(await f.builds.get(id)).toMatchObject({ status: 'failed', error: { code: 'BUILD_WORKER_NOT_STARTED' } });
  });

  test('fails at once when no worker can ever start, and goes on when one can later', async () => {
    tasks.refusal = new AppError('ECS_THROTTLING', 'too many', { kind: 'unavailable' });
    const later = await submit();
    await invoke(handOver());
    tasks.refusal = undefined;
    await handOver().sweep();
    expect(tasks.started).toEqual([`${later}/1`]);
    tasks.refusal = new AppError('BUILD_RUN_UNAVAILABLE', 'no image', { kind: 'unsupported' });
    const never = await submit();
    await invoke(handOver());
    expect(await f.builds.get(never)).toMatchObject({ status: 'failed', error: { code: 'BUILD_RUN_UNAVAILABLE' } });
  });
});

describe('a build that nobody looks after', () => {
  test('gets its message again when the first one was lost', async () => {
    const id = await submit();
    for (const { receipt } of await f.queue.receive({ max: 10, visibilitySeconds: 30, waitSeconds: 0 })) {
      await f.queue.acknowledge(receipt);
    }
    const resent: string[] = [];
    const builds = Object.assign(Object.create(f.builds) as typeof f.builds, {
      enqueue: (build: string) => Promise.resolve(void resent.push(build)),
    });
    const { records, clock } = f.store;
    await new HandOver({ builds, records, tasks, clock, logger: silentLogger }, { lostMs: -1 }).sweep();
    expect(resent).toEqual([id]);
  });
});

describe('a function that is killed while it hands a build over', () => {
  test.each(
    [1, 2, 3, 4, 5].flatMap((write) => (['before', 'after'] as const).map((moment) => [write, moment] as const)),
  )(
    'around write %d, %s it: one worker is started, once',
    async (write, moment) => {
      const id = await submit();
      const mortal = mortalRecords(f.store.records);
      const over = handOver({}, mortal);
      const died = new Promise<void>((resolve) => mortal.killAt(write, moment, resolve));
      void invoke(over, mortal).catch(() => undefined);
      await died;
      // Its lease runs out, its message comes again.
      await f.store.records.delete(leaseKey(id));
      await f.builds.enqueue(id, { again: true });
      await until('a worker was started', async () => {
        await invoke(handOver());
        return tasks.started.length > 0;
      });
      await handOver().sweep();
      expect(await elsewhere().work(id)).toBe(true);
      expect(await f.builds.get(id)).toMatchObject({ status: 'succeeded' });
      expect([tasks.started, sandbox.runs]).toEqual([[`${id}/1`], 1]);
    },
    30_000,
  );
});
