/**
 * Builds that end before their time, for real: killed with their builder they go on from the last finished step;
 * cancelled or timed out in the midst of a RUN that holds all there is to hold, they leave none of it.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { type BuildEvent, BuildSecrets, type BuildService, BuildWorker, createBuilds } from '../../lib/build/index.js';
import { OverlaySandbox } from '../../lib/build/sandbox/sandbox-overlay.js';
import { UnpackedLayers } from '../../lib/layers/index.js';
import {
  BridgeNetwork,
  hostResidue,
  type HostScope,
  openHostScope,
  Runc,
  scopePaths,
  sweepHost,
} from '../../lib/runtime/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { silentLogger } from '../../lib/store/index.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { requireTools } from '../host-tools.js';
import { searchCanaries } from './canary-search.js';
import { buildFixture, type BuildFixture, busyboxFiles } from './fixture.js';
import { agentsBelow, newKey } from './ssh-agents.js';

const CANARY = 'CANARY-of-an-interrupted-build';
/** Seconds, in the command line of what a RUN may leave; no other test of this machine has them. */
const SLEEP = String(10_000_000 + process.pid);

function serviceOf(f: BuildFixture): { readonly builds: BuildService; readonly secrets: RecordsSecretStore } {
  const { records, content, clock, ids } = f.store;
  // As test/build/build-process.ts has it.
  const secrets = new RecordsSecretStore(records, { key: Buffer.alloc(32, 7) });
  return { builds: createBuilds({ records, content, queue: f.queue, clock, ids, secrets }), secrets };
}

async function eventsOf(
  builds: BuildService,
  id: string,
  until: (event: BuildEvent) => boolean,
): Promise<BuildEvent[]> {
  const seen: BuildEvent[] = [];
  for await (const { event } of builds.follow(id, 0)) {
    seen.push(event);
    if (until(event)) break;
  }
  return seen;
}

const says =
  (word: string) =>
  (event: BuildEvent): boolean =>
    event.type === 'step-output' && event.text.includes(word);

async function sleepers(): Promise<readonly string[]> {
  const numbers = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const commands = await Promise.all(numbers.map((n) => readFile(`/proc/${n}/cmdline`, 'utf8').catch(() => '')));
  return commands.filter((command) => command.includes(SLEEP));
}

/** Locks that somebody holds. */
async function heldLocks(folder: string): Promise<readonly string[]> {
  const files = (await readdir(folder)).filter((name) => /\.(lock|new)$/.test(name));
  return files.filter((name) => spawnSync('flock', ['-n', join(folder, name), 'true']).status !== 0);
}

requireTools('root', 'runc', 'flock').describe('a build whose builder is killed', () => {
  let f: BuildFixture;
  let worker: ChildProcess | undefined;
  beforeAll(async () => {
    f = await buildFixture();
    await f.push('busybox', await busyboxFiles());
  });
  const kill = async (): Promise<void> => {
    const child = worker;
    worker = undefined;
    if (child === undefined || child.exitCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  afterEach(kill);
  afterAll(async () => {
    const scope = await openHostScope(join(f.store.directory, 'runtime'));
    await sweepHost({ scope, clock: systemClock }, new Set());
    await f.close();
  });

  const start = (): void => {
    // Longer than a busy machine lets a process wait: only the kill is to end a try.
    const words = ['--import', 'tsx', 'test/build/build-process.ts', f.store.directory, '5000'];
    worker = spawn(process.execPath, words, { stdio: ['ignore', 'ignore', 'inherit'] });
  };

  test('finds every step that was finished in the cache, and makes the others', async () => {
    const { builds } = serviceOf(f);
    const once = `if [ -e /c/begun ]; then echo again; else : > /c/begun; echo begun; exec sleep ${SLEEP}; fi`;
    const dockerfile = `FROM busybox
RUN --network=none echo one > /one
COPY data /data
RUN --network=none cat /one /data > /two
RUN --network=none --mount=type=cache,target=/c,sharing=locked ${once}
COPY data /last`;
    const context = await f.context({ Dockerfile: dockerfile, data: 'data' });
    const { id } = await builds.submit({ context, tags: ['killed:1'] });
    start();
    const before = await eventsOf(builds, id, says('begun'));
    await kill();
    start();
    const all = await eventsOf(builds, id, () => false);
    const finished = (events: readonly BuildEvent[]): string[] =>
      events.flatMap((event) =>
        event.type === 'step-finished' ? [`${event.step} ${event.cached ? 'cached' : 'made'}`] : [],
      );
    expect(finished(before)).toEqual(['1 made', '2 made', '3 made']);
    expect(finished(all.slice(before.length))).toEqual(['1 cached', '2 cached', '3 cached', '4 made', '5 made']);
    expect(await builds.get(id)).toMatchObject({ status: 'succeeded', result: { stepsCached: 3 } });
    expect(await sleepers()).toEqual([]);
  }, 120_000);
});

requireTools('root', 'runc', 'bridge', 'flock', 'ssh-agent').describe('a build that is stopped while it runs', () => {
  let f: BuildFixture;
  let directory: string;
  let scope: HostScope;
  let worker: BuildWorker;
  let builds: BuildService;
  let kept: BuildSecrets;
  let before: readonly string[];
  const caches = (): string => join(scope.directory, 'build-caches');

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'wharf-stopped-'));
    scope = await openHostScope(join(directory, 'runtime'));
    f = await buildFixture({
      runTimeoutMs: 6_000,
      sandbox: async (store) => {
        const runc = await Runc.open({ scope, clock: systemClock });
        const network = await BridgeNetwork.open(scope);
        const layers = await UnpackedLayers.open({ content: store.content }, join(scope.directory, 'layers'));
        return OverlaySandbox.open({ scope, runc, network, layers });
      },
    });
    await f.push('busybox', await busyboxFiles());
    const service = serviceOf(f);
    builds = service.builds;
    kept = new BuildSecrets(service.secrets);
    const { records, clock, ids } = f.store;
    const deps = { builds, records, queue: f.queue, clock, ids, logger: silentLogger, build: f.builder.build };
    worker = new BuildWorker(deps);
    await worker.start();
    // What the host keeps between builds: the bridge with its rules.
    await f.build({ Dockerfile: 'FROM busybox\nRUN true' });
    before = await hostResidue(scope);
  });
  afterAll(async () => {
    await worker.stop();
    await f.close();
    await sweepHost({ scope, clock: systemClock }, new Set());
    expect(await hostResidue(scope)).toEqual([]);
    await rm(directory, { recursive: true, force: true });
  });

  /** A RUN with everything that could be left. */
  const begun = async (name: string): Promise<string> => {
    const mounts = [
      'type=secret,id=s,env=S',
      'type=secret,id=s,required',
      'type=ssh,required',
      'type=tmpfs,target=/t',
      'type=cache,target=/c,sharing=locked',
      'type=bind,from=busybox,target=/b,rw',
    ].map((mount) => `--mount=${mount}`);
    const command = `sleep ${SLEEP} & setsid sleep ${SLEEP} & : "$S"; echo begun ${name}; wait`;
    const context = await f.context({ Dockerfile: `FROM busybox\nRUN ${mounts.join(' ')} ${command}` });
    const secrets = new Map([['s', Buffer.from(CANARY)]]);
    const ssh = new Map([['default', [await newKey(directory)]]]);
    const { id } = await builds.submit({ context, tags: [] }, { secrets, ssh });
    return id;
  };

  const expectNothingLeft = async (): Promise<void> => {
    expect(await hostResidue(scope)).toEqual(before);
    expect(await sleepers()).toEqual([]);
    expect(await readdir(join(scope.directory, 'builds'))).toEqual([]);
    expect(await readdir(join(scope.directory, 'bundles'))).toEqual([]);
    expect(await heldLocks(caches())).toEqual([]);
    expect(await agentsBelow(directory)).toEqual([]);
    expect(await kept.builds()).toEqual([]);
    const roots = [f.store.directory, directory, scopePaths.run(scope)];
    const { hits, visible } = await searchCanaries(roots, [CANARY, 'OPENSSH PRIVATE KEY'], SLEEP);
    expect(hits).toEqual([]);
    expect(visible).toBeGreaterThan(0);
  };

  test('leaves nothing on the host when it is cancelled', async () => {
    const id = await begun('cancelled');
    await eventsOf(builds, id, says('begun'));
    // What is looked for is there to be found.
    expect(await sleepers()).not.toEqual([]);
    expect(await heldLocks(caches())).toHaveLength(1);
    await builds.cancel(id);
    await eventsOf(builds, id, () => false);
    expect((await builds.get(id))?.status).toBe('cancelled');
    await expectNothingLeft();
  }, 60_000);

  test('leaves nothing on the host when its time is over', async () => {
    const id = await begun('late');
    await eventsOf(builds, id, () => false);
    expect(await builds.get(id)).toMatchObject({ status: 'failed', error: { code: 'BUILD_RUN_TIMEOUT' } });
    await expectNothingLeft();
  }, 60_000);

  test('and a start takes away a cache that was being made', async () => {
    const left = join(caches(), '.0123456789abcdef-01234567');
    const underWay = join(caches(), '.fedcba9876543210-01234567');
    for (const folder of [left, underWay]) {
      await mkdir(folder);
      await writeFile(join(folder, 'file'), '');
    }
    const holder = spawn('flock', [join(caches(), 'fedcba9876543210.new'), 'sh', '-c', 'echo held; exec cat'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    await once(holder.stdout, 'data');
    const open = async (): Promise<string[]> => {
      const runc = await Runc.open({ scope, clock: systemClock });
      const layers = await UnpackedLayers.open({ content: f.store.content }, join(directory, 'other-layers'));
      await OverlaySandbox.open({ scope, runc, layers });
      return (await readdir(caches())).filter((name) => name.startsWith('.'));
    };
    expect(await open()).toEqual(['.fedcba9876543210-01234567']);
    holder.stdin.end();
    await once(holder, 'exit');
    expect(await open()).toEqual([]);
  });
});
