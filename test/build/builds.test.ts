import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type BuildFunction, type BuildRequest, BuildWorker, type LoggedBuildEvent } from '../../lib/build/index.js';
import { buildKey, leaseKey } from '../../lib/build/build-records.js';
import { AppError } from '../../lib/errors/index.js';
import { silentLogger } from '../../lib/store/index.js';
import { buildFixture, type BuildFixture, failure } from './fixture.js';

let f: BuildFixture;
let workers: BuildWorker[];
beforeEach(async () => {
  f = await buildFixture();
  workers = [];
});
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.stop()));
  await f.close();
});

async function worker(build: BuildFunction = f.builder.build, options = {}): Promise<BuildWorker> {
  const { records, clock, ids } = f.store;
  const made = new BuildWorker(
    { builds: f.builds, records, queue: f.queue, clock, ids, logger: silentLogger, build },
    options,
  );
  workers.push(made);
  await made.start();
  return made;
}

async function request(
  files: Record<string, string> = { Dockerfile: 'FROM scratch\nCOPY a /', a: 'a' },
): Promise<BuildRequest> {
  return { context: await f.context(files), tags: ['app:1'] };
}

async function collect(id: string, after = 0): Promise<LoggedBuildEvent[]> {
  const events: LoggedBuildEvent[] = [];
  for await (const event of f.builds.follow(id, after)) events.push(event);
  return events;
}

/** A build that waits until it is told, or stopped. */
function held(): { build: BuildFunction; begun: Promise<void>; release: () => void } {
  let begin = (): void => undefined;
  let release = (): void => undefined;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const released = new Promise<void>((resolve) => (release = resolve));
  const build: BuildFunction = async (asked, call) => {
    call.emit({ type: 'message', text: 'held' });
    begin();
    await Promise.race([
      released,
      new Promise((_, reject) => call.signal.addEventListener('abort', () => reject(call.signal.reason as Error))),
    ]);
    return f.builder.build(asked, call);
  };
  return { build, begun, release: () => release() };
}

describe('a submitted build', () => {
  test('is queued, run by a worker, and followed to its result', async () => {
    const build = await f.builds.submit(await request());
    expect(build.status).toBe('queued');
    const following = collect(build.id);
    await worker();
    const events = await following;
    expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, i) => i + 1));
    expect(events.map(({ event }) => event.type)).toEqual(['step-started', 'step-finished', 'finished']);
    const done = await f.builds.get(build.id);
    expect(done).toMatchObject({ status: 'succeeded', result: { tags: ['app:1'], stepsCached: 0 } });
    expect(events.at(-1)?.event).toMatchObject({ status: 'succeeded', result: done?.result });
    expect(await f.registry.manifest('app', { tag: '1' })).toMatchObject({ digest: done?.result?.digest });
  });

  test('is followed again from any place, also when it is over', async () => {
    const build = await f.builds.submit(await request());
    await worker();
    const all = await collect(build.id);
    expect(await collect(build.id, 1)).toEqual(all.slice(1));
    expect(await collect(build.id, all.length)).toEqual([]);
  });

  test('fails with code, place and hint in record and last event', async () => {
    const build = await f.builds.submit(await request({ Dockerfile: 'FROM scratch\nCOPY nope /' }));
    await worker();
    const last = (await collect(build.id)).at(-1)?.event;
    const error = { code: 'BUILD_COPY_SOURCE_MISSING', file: 'Dockerfile', line: 2, column: 6 };
    expect(last).toMatchObject({ type: 'finished', status: 'failed', error });
    expect((await f.builds.get(build.id))?.error).toMatchObject(error);
  });

  test('is the same for the same idempotency key, and refused for another request', async () => {
    const asked = await request();
    const first = await f.builds.submit(asked, { idempotencyKey: 'k' });
    expect((await f.builds.submit(asked, { idempotencyKey: 'k' })).id).toBe(first.id);
    const error = await failure(f.builds.submit({ ...asked, tags: ['other'] }, { idempotencyKey: 'k' }));
    expect(error.code).toBe('IDEMPOTENCY_KEY_REUSED');
    expect((await f.builds.list()).builds).toHaveLength(1);
  });

  test('needs a context that is there and tags of this registry', async () => {
    const asked = await request();
    const unknown = { ...asked, context: `sha256:${'0'.repeat(64)}` as BuildRequest['context'] };
    expect((await failure(f.builds.submit(unknown))).code).toBe('CONTEXT_UNKNOWN');
    expect((await failure(f.builds.submit({ ...asked, tags: ['ghcr.io/x/y'] }))).code).toBe('BUILD_TAG_INVALID');
    expect((await f.builds.list()).builds).toEqual([]);
  });

  test('is listed newest first, page by page', async () => {
    const asked = await request();
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) ids.push((await f.builds.submit(asked)).id);
    const first = await f.builds.list({ limit: 2 });
    const rest = await f.builds.list({ limit: 2, ...(first.cursor === undefined ? {} : { cursor: first.cursor }) });
    expect([...first.builds, ...rest.builds].map(({ id }) => id)).toEqual(ids.reverse());
  });

  test('can be followed only when it is there', async () => {
    expect((await failure(collect('nope'))).code).toBe('BUILD_UNKNOWN');
    expect(await f.builds.get('nope')).toBeUndefined();
    expect(await f.builds.cancel('nope')).toBeUndefined();
  });
});

describe('cancel', () => {
  test('ends a queued build at once', async () => {
    const build = await f.builds.submit(await request());
    expect(await f.builds.cancel(build.id)).toMatchObject({ status: 'cancelled' });
    expect((await collect(build.id)).map(({ event }) => event)).toEqual([{ type: 'finished', status: 'cancelled' }]);
    await worker(() => Promise.reject(new Error('it must not run')));
    expect((await f.builds.get(build.id))?.status).toBe('cancelled');
  });

  test('stops a running build', async () => {
    const { build, begun } = held();
    const submitted = await f.builds.submit(await request());
    await worker(build);
    await begun;
    expect((await f.builds.cancel(submitted.id))?.status).toBe('running');
    expect((await collect(submitted.id)).at(-1)?.event).toEqual({ type: 'finished', status: 'cancelled' });
    expect(await f.builds.cancel(submitted.id)).toMatchObject({ status: 'cancelled' });
  });
});

describe('workers', () => {
  test('never run the same build twice at once', async () => {
    const { build, begun, release } = held();
    let runs = 0;
    const counted: BuildFunction = (asked, call) => {
      runs += 1;
      return build(asked, call);
    };
    const submitted = await f.builds.submit(await request());
    await worker(counted);
    await begun;
    await worker(counted);
    await f.builds.enqueue(submitted.id, { again: true });
    release();
    await collect(submitted.id);
    expect(runs).toBe(1);
  });

  test('hand a build back when they stop, and another goes on with its log', async () => {
    const { build, begun } = held();
    const submitted = await f.builds.submit(await request());
    const first = await worker(build);
    await begun;
    await first.stop();
    expect((await f.builds.state(submitted.id))?.value).toMatchObject({ attempts: 0, build: { status: 'running' } });
    await worker();
    const events = await collect(submitted.id);
    expect(events[0]?.event).toEqual({ type: 'message', text: 'held' });
    expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, i) => i + 1));
    expect(events.at(-1)?.event).toMatchObject({ type: 'finished', status: 'succeeded' });
  });

  test('take up what a killed one left, once its lease is over', async () => {
    const submitted = await f.builds.submit(await request());
    // What a killed worker leaves: a running build, a lease nobody renews, a message that was taken.
    const [message] = await f.queue.receive({ visibilitySeconds: 3600 });
    expect(message).toBeDefined();
    const state = await f.builds.state(submitted.id);
    const build = { ...submitted, status: 'running' };
    await f.store.records.put(buildKey(submitted.id), { ...state?.value, build, attempts: 1 });
    await f.store.records.put(leaseKey(submitted.id), { owner: 'dead' }, { expiresAtMs: f.store.clock.nowMs() + 1 });
    await worker();
    const events = await collect(submitted.id);
    expect(events[0]?.event).toMatchObject({ type: 'message', text: expect.stringContaining('interrupted') });
    expect(events.at(-1)?.event).toMatchObject({ status: 'succeeded' });
  });

  test('give up a build that has interrupted three of them', async () => {
    const submitted = await f.builds.submit(await request());
    const state = await f.builds.state(submitted.id);
    await f.store.records.put(buildKey(submitted.id), {
      ...state?.value,
      build: { ...submitted, status: 'running' },
      attempts: 3,
    });
    await worker(() => Promise.reject(new Error('it must not run')));
    expect((await collect(submitted.id)).at(-1)?.event).toMatchObject({
      status: 'failed',
      error: { code: 'BUILD_INTERRUPTED' },
    });
  });

  test('stop writing when another has taken the build', async () => {
    const { build, begun } = held();
    const submitted = await f.builds.submit(await request());
    await worker(build, { leaseMs: 60 });
    await begun;
    await f.store.records.put(leaseKey(submitted.id), { owner: 'thief' });
    await expect(
      f.builds.log.append(submitted.id, [{ sequence: 2, timeMs: 1, event: { type: 'message', text: 'thief' } }]),
    ).resolves.toBe('written');
    await workers[0]?.stop();
    expect((await f.builds.get(submitted.id))?.status).toBe('running');
  });

  test('report an unexpected error as internal', async () => {
    const submitted = await f.builds.submit(await request());
    await worker(() => Promise.reject(new AppError('STORE_FULL', 'no room', { kind: 'unavailable' })));
    expect((await collect(submitted.id)).at(-1)?.event).toMatchObject({
      error: { code: 'STORE_FULL', message: 'no room' },
    });
  });
});
