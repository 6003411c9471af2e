/**
 * A builder that is killed, or whose build is cancelled or one of its RUNs out of time, at any of the operations of its
 * store: between them lie all steps of a build. Started again, the build goes on from the last finished step and comes to
 * the same image; of the end before its time nothing is left.
 */
import { randomInt } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { type BuildEvent, type BuildService, createBuilds } from '../../lib/build/index.js';
import { openHostScope, sweepHost } from '../../lib/runtime/index.js';
import type { Digest } from '../../lib/oci/index.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { buildFixture, type BuildFixture, busyboxFiles } from '../build/fixture.js';
import { BuilderProgram, leftBehind, type MortalBuilder } from '../build/mortal-builder.js';
import { newKey } from '../build/ssh-agents.js';
import { requireTools } from '../host-tools.js';
import { Random } from '../interleave/random.js';

const ENDS = Math.ceil(Number(process.env['WHARF_TEST_KILLS'] ?? 30) / 10);
const SEED = Number(process.env['WHARF_TEST_SEED'] ?? randomInt(2 ** 31));
/** Of a builder that died; short, since the next one waits for its end. */
const LEASE_MS = '700';

const DOCKERFILE = `FROM busybox AS one
COPY large /large
RUN --network=none --mount=type=secret,id=s,env=S --mount=type=cache,target=/c,sharing=locked \\
    cat /large > /copy; : "$S"
FROM busybox
WORKDIR /work
RUN --network=none --mount=type=secret,id=s,required --mount=type=ssh,required cat /run/secrets/s > /dev/null; : > made
COPY --from=one /copy /copy
`;

requireTools('root', 'runc', 'flock', 'ssh-agent').describe(`a build that is ended ${ENDS} times`, () => {
  let f: BuildFixture;
  let program: BuilderProgram;
  let builder: MortalBuilder | undefined;
  let builds: BuildService;
  let secrets: RecordsSecretStore;
  let context: Digest;
  let sshKey: Buffer;
  let whole: { readonly digest: Digest; readonly operations: number };
  /** What the host keeps between builds. */
  let kept: readonly string[];
  const random = new Random(SEED);

  beforeAll(async () => {
    program = await BuilderProgram.compile();
    f = await buildFixture();
    await f.push('busybox', await busyboxFiles());
    const { records, content, clock, ids } = f.store;
    secrets = new RecordsSecretStore(records, { key: Buffer.alloc(32, 7) });
    builds = createBuilds({ records, content, queue: f.queue, clock, ids, secrets });
    const bytes = new Random(1);
    const large = Buffer.from(Array.from({ length: 1_000_000 }, () => bytes.below(256)));
    context = await f.context({ Dockerfile: DOCKERFILE, large: { content: large } });
    sshKey = await newKey(f.store.directory);
    const id = await submit();
    builder = start('undisturbed');
    await Promise.race([eventsOf(id), builder.ended]);
    const operations = await builder.operations();
    whole = { digest: await digestOf(id), operations };
    kept = await leftBehind(f.store.directory, secrets);
  }, 60_000);
  afterEach(() => builder?.kill());
  afterAll(async () => {
    const scope = await openHostScope(`${f.store.directory}/runtime`);
    await sweepHost({ scope, clock: systemClock }, new Set());
    await f.close();
    await program.remove();
  });

  const start = (...words: readonly string[]): MortalBuilder => program.start(f.store.directory, LEASE_MS, ...words);
  const submit = async (): Promise<string> => {
    const given = { secrets: new Map([['s', Buffer.from('a secret')]]), ssh: new Map([['default', [sshKey]]]) };
    return (await builds.submit({ context, tags: ['ended'] }, given)).id;
  };
  const eventsOf = async (id: string): Promise<BuildEvent[]> => {
    const events: BuildEvent[] = [];
    for await (const { event } of builds.follow(id, 0)) events.push(event);
    return events;
  };
  const digestOf = async (id: string): Promise<Digest> => {
    const build = await builds.get(id);
    if (build?.result === undefined || !('digest' in build.result)) throw new Error(JSON.stringify(build));
    return build.result.digest;
  };
  const finished = (events: readonly BuildEvent[]): Map<number, boolean> =>
    new Map(
      events.flatMap((event) =>
        event.type === 'step-finished' && event.failed !== true ? [[event.step, event.cached]] : [],
      ),
    );
  /** Every step that was finished before is cached now. */
  const expectGoneOn = (before: readonly BuildEvent[], after: readonly BuildEvent[]): void => {
    const now = finished(after);
    expect([...finished(before).keys()].map((step) => [step, now.get(step)])).toEqual(
      [...finished(before).keys()].map((step) => [step, true]),
    );
  };
  /** Somewhere in the build; the operations of a start are the fewest. */
  const anywhere = (): string => String(1 + random.below(whole.operations));

  /** After an end that the builder outlived; ends the builder, too. */
  const expectNextGoesOn = async (
    builder: ReturnType<typeof start>,
    before: Parameters<typeof expectGoneOn>[0],
  ): Promise<void> => {
    await builder.says('ready');
    expect(await leftBehind(f.store.directory, secrets)).toEqual(kept);
    const next = await submit();
    expectGoneOn(before, await eventsOf(next));
    expect(await digestOf(next)).toBe(whole.digest);
    await builder.kill();
  };

  test(`by kill -9 goes on, and leaves nothing (seed ${SEED})`, async () => {
    let interrupted = 0;
    for (let n = 0; n < ENDS; n++) {
      const scope = `killed-${n}`;
      const id = await submit();
      builder = start(scope, 'kill', anywhere());
      // Here and there what is counted ends with the build.
      const early = await Promise.race([builder.ended.then(() => true), eventsOf(id).then(() => false)]);
      await builder.kill();
      builder = start(scope);
      const events = await eventsOf(id);
      const again = events.findIndex((e) => e.type === 'message' && e.text.startsWith('The build was interrupted'));
      if (early && again >= 0) interrupted += 1;
      if (again >= 0) expectGoneOn(events.slice(0, again), events.slice(again));
      expect(await digestOf(id)).toBe(whole.digest);
      await builder.says('ready');
      expect(await leftBehind(f.store.directory, secrets)).toEqual(kept);
      await builder.kill();
    }
    expect(interrupted).toBeGreaterThan(0);
  }, 3_600_000);

  test(`by cancelling leaves nothing at once, and the next one goes on (seed ${SEED})`, async () => {
    let cancelled = 0;
    for (let n = 0; n < ENDS; n++) {
      const scope = `cancelled-${n}`;
      const id = await submit();
      builder = start(scope, 'say', anywhere());
      await Promise.race([builder.says('reached'), eventsOf(id)]);
      await builds.cancel(id);
      const before = await eventsOf(id);
      const { status } = (await builds.get(id)) ?? {};
      expect(['cancelled', 'succeeded']).toContain(status);
      if (status === 'cancelled') cancelled += 1;
      await expectNextGoesOn(builder, before);
    }
    expect(cancelled).toBeGreaterThan(0);
  }, 3_600_000);

  test(`by the time limit of RUN leaves nothing at once, and the next one goes on (seed ${SEED})`, async () => {
    let late = 0;
    for (let n = 0; n < ENDS; n++) {
      const scope = `late-${n}`;
      const id = await submit();
      // The first before any RUN; a time that is over after the last one ends nothing.
      builder = start(scope, 'late', n === 0 ? '1' : anywhere());
      const before = await eventsOf(id);
      const { status, error } = (await builds.get(id)) ?? {};
      expect([status, error?.code]).toEqual(
        status === 'failed' ? ['failed', 'BUILD_RUN_TIMEOUT'] : ['succeeded', undefined],
      );
      if (status === 'failed') late += 1;
      await expectNextGoesOn(builder, before);
    }
    expect(late).toBeGreaterThan(0);
  }, 3_600_000);
});
