/** A worker that is killed at any moment: every build ends once, and nothing of it is left on the host. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { BuildSecrets, createBuilds, type LoggedBuildEvent } from '../../lib/build/index.js';
import { OverlaySandbox } from '../../lib/build/sandbox/sandbox-overlay.js';
import { UnpackedLayers } from '../../lib/layers/index.js';
import { hostResidue, openHostScope, Runc, sweepHost } from '../../lib/runtime/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { requireTools } from '../host-tools.js';
import { buildFixture, type BuildFixture, busyboxFiles } from './fixture.js';
import { agentsBelow, newKey } from './ssh-agents.js';

const KILLS = 15;
const SEED = Number(process.env['KILL_SEED'] ?? 20_240_506);
const CANARY = 'CANARY-of-a-killed-build';
const CANARIES = [CANARY, 'OPENSSH PRIVATE KEY'];

requireTools('root', 'runc', 'ssh-agent').describe('a build worker that is killed', () => {
  let f: BuildFixture;
  let worker: ChildProcess | undefined;

  beforeAll(async () => {
    f = await buildFixture();
    await f.push('busybox', await busyboxFiles());
  });
  afterAll(async () => {
    await kill();
    await f.close();
  });

  const start = async (): Promise<void> => {
    const child = spawn(process.execPath, ['--import', 'tsx', 'test/build/build-process.ts', f.store.directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    worker = child;
    await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
    expect(child.exitCode).toBeNull();
  };
  const kill = async (): Promise<void> => {
    const child = worker;
    worker = undefined;
    if (child === undefined || child.exitCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };

  const dockerfile = (n: number): string => `FROM busybox AS one
RUN --network=none --mount=type=secret,id=s,env=S --mount=type=cache,target=/c,sharing=locked echo ${n} > /a; sleep 0.1; : "$S"
RUN --network=none --mount=type=secret,id=s,required --mount=type=ssh,required cp /run/secrets/s /dev/null; sleep 0.1; echo more >> /a
FROM busybox
COPY data /data
RUN --network=none sleep 0.1; echo ${n} > /b
COPY --from=one /a /a
${n % 5 === 4 ? 'RUN --network=none exit 7' : ''}`;

  test(`${KILLS} times ends every build exactly once and leaves nothing (seed ${SEED})`, async () => {
    const { records, content, clock, ids } = f.store;
    const secrets = new RecordsSecretStore(records, { key: Buffer.alloc(32, 7) });
    const builds = createBuilds({ records, content, queue: f.queue, clock, ids, secrets });
    const given = new Map([['s', Buffer.from(CANARY)]]);
    const ssh = new Map([['default', [await newKey(f.store.directory)]]]);
    const submitted: string[] = [];
    let random = SEED;
    for (let n = 0; n < KILLS; n++) {
      const context = await f.context({ Dockerfile: dockerfile(n), data: `${n}` });
      submitted.push((await builds.submit({ context, tags: ['killed'] }, { secrets: given, ssh })).id);
      await start();
      random = (random * 1_103_515_245 + 12_345) % 2 ** 31;
      // The moment of the kill, not a wait for something to happen.
      await delay(random % 700);
      await kill();
    }
    await start();
    const events: LoggedBuildEvent[][] = [];
    for (const id of submitted) {
      const seen: LoggedBuildEvent[] = [];
      for await (const event of builds.follow(id, 0)) seen.push(event);
      events.push(seen);
    }
    const states = await Promise.all(submitted.map((id) => builds.get(id)));
    expect(states.map((build) => build?.error?.code ?? build?.status)).toEqual(
      submitted.map((_, n) => (n % 5 === 4 ? 'BUILD_RUN_FAILED' : 'succeeded')),
    );
    for (const seen of events) {
      expect(seen.filter(({ event }) => event.type === 'finished')).toHaveLength(1);
      expect(seen.map(({ sequence }) => sequence)).toEqual(seen.map((_, i) => i + 1));
    }
    const texts = events.flat().map(({ event }) => (event.type === 'message' ? event.text : ''));
    expect(texts.filter((text) => text.startsWith('The build was interrupted')).length).toBeGreaterThan(3);
    await kill();
    // What the last kill left is cleared by the next start, as by any.
    const scope = await openHostScope(join(f.store.directory, 'runtime'));
    const runc = await Runc.open({ scope, clock: systemClock });
    const layers = await UnpackedLayers.open({ content }, join(scope.directory, 'layers'));
    await OverlaySandbox.open({ scope, runc, layers });
    expect(await readdir(join(scope.directory, 'builds'))).toEqual([]);
    expect(await readdir(join(scope.directory, 'bundles'))).toEqual([]);
    expect(await new BuildSecrets(secrets).builds()).toEqual([]);
    const mounts = await readFile('/proc/self/mountinfo', 'utf8');
    expect(mounts.split('\n').filter((line) => line.includes(`${scope.directory}/`))).toEqual([]);
    expect((await hostResidue(scope)).filter((line) => line.startsWith('process'))).toEqual([]);
    await sweepHost({ scope, clock: systemClock }, new Set());
    expect(await hostResidue(scope)).toEqual([]);
    expect(await agentsBelow(scope.directory)).toEqual([]);
    const leaks: string[] = [];
    for (const entry of await readdir(f.store.directory, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.path, entry.name);
      const bytes = await readFile(path);
      if (CANARIES.some((canary) => bytes.includes(canary))) leaks.push(path);
    }
    expect(leaks).toEqual([]);
  }, 240_000);
});
