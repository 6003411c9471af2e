import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { EmbeddedOptions } from '../../lib/cli/index.js';
import { digestOf } from '../../lib/oci/index.js';
import { until } from '../http/backend.js';
import { imageSet } from '../protocol/registry/images.js';
import { type CliFixture, createCliFixture, type Ran } from './cli-fixture.js';

let cli: CliFixture;

beforeAll(async () => {
  cli = await createCliFixture();
  await cli.api.base.images.add('hello:1');
  await cli.api.base.images.add('hello:2', { label: 'two' });
});

afterAll(() => cli.close());

const json = ({ stdout }: Ran) => JSON.parse(stdout) as Record<string, unknown>;
const small = ['--cpu', '2', '--memory', '6'];

describe('wharf', () => {
  test('makes a cluster, lists it, and names the result alone on stdout', async () => {
    const made = await cli.run(['cluster', 'create', 'main', '--instances', '2']);
    expect(made).toEqual({ code: 0, stdout: 'main\n', stderr: 'cluster main has 2 instances\n' });
    expect((await cli.run(['cluster', 'ls'])).stdout).toMatch(/^CLUSTER +STATUS +INSTANCES.*\nmain +active +2\/2/);
    expect(json(await cli.run(['cluster', 'ls', '--json']))).toMatchObject({ clusters: [{ name: 'main' }] });
  });

  test('deploys, waits until it is done, and prints the address', async () => {
    const deployed = await cli.run(['deploy', 'web', '--image', 'hello:1', '--count', '2', '-e', 'A=1', ...small]);
    expect(deployed).toMatchObject({ code: 0, stdout: 'http://web.main.localhost\n' });
    expect(deployed.stderr).toContain('release 1 of web: hello:1');
  });

  test('keeps what is not said when it deploys again', async () => {
    const deployed = await cli.run(['deploy', 'web', '--image', 'hello:2', '-e', 'B=2', '--json']);
    expect(json(deployed)).toMatchObject({
      deployment: { status: 'completed' },
      release: { number: 2, spec: { count: 2, image: 'hello:2', env: { A: '1', B: '2' }, memory: 6 } },
    });
    const same = await cli.run(['deploy', 'web']);
    expect(same).toMatchObject({ code: 0, stderr: 'release 2 of web is unchanged\n' });
  });

  test('rolls back to the release before', async () => {
    const back = await cli.run(['rollback', 'web', '--json']);
    expect(json(back)).toMatchObject({ deployment: { status: 'completed' }, release: { number: 3, rollbackOf: 1 } });
  });

  test('shows services and tasks', async () => {
    const shown = await cli.run(['ps']);
    expect(shown.stdout).toMatch(/main +web +3 +hello:1 +2\/2 +completed +http:\/\/web\.main\.localhost/);
    expect(shown.stdout.match(/^[0-9a-f]{12} +web +3 +RUNNING/gm)).toHaveLength(2);
    expect(json(await cli.run(['ps', '--json', '--cluster', 'main']))).toMatchObject({ services: [{ name: 'web' }] });
  });

  test('prints the logs of all tasks of a service, or of one by the beginning of its id', async () => {
    const all = await cli.run(['logs', 'web']);
    expect(all.stdout.match(/^[0-9a-f]{8} hello from [0-9a-f]+$/gm)).toHaveLength(2);
    const [, id = ''] = /hello from ([0-9a-f]+)/.exec(all.stdout) ?? [];
    const one = await cli.run(['logs', id.slice(0, 10), '--json']);
    expect(json(one)).toMatchObject({ task: id, text: `hello from ${id}` });
  });

  test('tells what the registry holds, and that all of it can be read back', async () => {
    expect((await cli.run(['registry', 'stats'])).stdout).toMatch(
      /^\d+ repositories, .*\nimages .* % saved\)\non disk /,
    );
    expect(json(await cli.run(['registry', 'stats', '--json']))).toMatchObject({ saving: expect.any(Number) });
    const verified = await cli.run(['registry', 'verify']);
    expect(verified).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+ blobs .* read, 0 problems\n$/) });
  });

  test('fails with what is damaged when a blob cannot be read back', async () => {
    const { content } = cli.api.base.store;
    const { digest } = await content.putBytes(Buffer.from('a blob that will change'));
    for await (const { key, digest: stored } of content.blobs.list()) {
      if (stored === digest) await writeFile(join(cli.api.base.store.directory, 'store', key), 'changed');
    }
    const verified = await cli.run(['registry', 'verify']);
    expect(verified).toMatchObject({ code: 1, stderr: expect.stringContaining('REGISTRY_DAMAGED') });
    expect(verified.stdout).toContain(`blob ${digest} hash to`);
    expect(verified.stderr).toContain('wharf registry verify --repair');
    expect(await cli.run(['registry', 'verify', '--repair'])).toMatchObject({ code: 1 });
    expect(await content.stat(digest)).toBeUndefined();
    expect(await cli.run(['registry', 'verify'])).toMatchObject({ code: 0 });
  });

  test('does not suggest a repair where there is nothing left to repair', async () => {
    const { registry, base } = cli.api;
    const set = imageSet('an image');
    for (const { bytes } of set.blobs) {
      await registry.linkBlob('broken', (await base.store.content.putBytes(bytes)).digest);
    }
    for (const { bytes, mediaType } of set.manifests) await registry.putManifest('broken', bytes, mediaType, ['1']);
    const [damaged] = set.blobs.map(({ bytes }) => digestOf(bytes));
    for await (const { key, digest } of base.store.content.blobs.list()) {
      if (digest === damaged) await writeFile(join(base.store.directory, 'store', key), 'changed');
    }
    expect((await cli.run(['registry', 'verify', '--repair'])).stderr).toContain('is sent anew');
    const again = await cli.run(['registry', 'verify']);
    expect(again.stdout).toContain(`names ${damaged}, which is not in the repository`);
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('wharf images rm') });
    expect(again.stderr).not.toContain('--repair');
    for (const { digest } of set.manifests) await registry.deleteManifest('broken', digest);
    expect(await cli.run(['registry', 'verify'])).toMatchObject({ code: 0 });
  });

  test('lists images, and what is in one', async () => {
    expect((await cli.run(['images'])).stdout).toMatch(/hello +1 +sha256:/);
    expect(json(await cli.run(['images', 'hello:1', '--json']))).toMatchObject({ repository: 'hello', tag: '1' });
  });

  test('stops the tasks of a service, which stays, and deletes it', async () => {
    expect(await cli.run(['stop', 'web'])).toMatchObject({ code: 0 });
    expect(json(await cli.run(['ps', '--json']))).toMatchObject({ services: [{ count: { desired: 0, running: 0 } }] });
    expect(await cli.run(['rm', 'web'])).toMatchObject({ code: 0, stdout: 'web\n' });
    expect(json(await cli.run(['ps', '--json']))).toMatchObject({ services: [] });
  });

  test('stops one task', async () => {
    await cli.run(['deploy', 'one', '--image', 'hello:1', ...small]);
    const { tasks } = json(await cli.run(['ps', '--json'])) as { tasks: { id: string }[] };
    const id = tasks[0]?.id ?? '';
    expect(await cli.run(['stop', id.slice(0, 12)])).toMatchObject({ code: 0, stdout: `${id}\n` });
    await cli.run(['rm', 'one']);
  });

  test('explains why a service waits for room, in one line and instance by instance', async () => {
    const args = ['deploy', 'huge', '--image', 'hello:1', '--cpu', '2', '--memory', '900000', '--no-wait'];
    expect(await cli.run(args)).toMatchObject({ code: 0 });
    const lines = async (): Promise<string> => (await cli.run(['ps', 'huge'])).stdout;
    await until('the line', async () => (await lines()).includes('huge: 1 task has no place. Ask for less'));
    const { stdout } = await cli.run(['explain', 'huge']);
    expect(stdout).toMatch(/^huge: 1 task has no place; a task asks for 2 CPU units and 900000 MiB$/m);
    expect(stdout.match(/^\S+ +memory +900000 +\d+$/gm)).toHaveLength(2);
    const { waiting } = json(await cli.run(['explain', 'huge', '--json'])) as { waiting: object };
    expect(waiting).toMatchObject({ service: 'huge', instances: [{ findings: [{ dimension: 'memory' }] }, {}] });
    await cli.run(['rm', 'huge']);
    await cli.run(['deploy', 'fits', '--image', 'hello:1', ...small]);
    expect((await cli.run(['explain', 'fits'])).stdout).toBe('fits has room for all tasks that it wants\n');
    expect((await cli.run(['explain', 'nothing'])).code).not.toBe(0);
    await cli.run(['rm', 'fits']);
  });

  test('says which release failed and why, and leaves with 1', async () => {
    const { agent } = cli.api.base;
    agent.auto = false;
    const failing = setInterval(() => {
      for (const id of agent.taskIds) agent.failToStart(id, 'CannotPullContainerError: no such layer');
    }, 20);
    const failed = await cli.run(['deploy', 'bad', '--image', 'hello:1', ...small]);
    clearInterval(failing);
    agent.auto = true;
    expect(failed.code).toBe(1);
    expect(failed.stdout).toBe('');
    expect(failed.stderr).toMatch(
      /error release 1 of bad failed: .*CannotPullContainerError: no such layer.*\(DEPLOYMENT_FAILED\)/s,
    );
    // No container of it ever wrote anything.
    expect(failed.stderr).not.toContain('wharf logs');
    await cli.run(['rm', 'bad']);
  });

  test('deletes a cluster', async () => {
    await cli.run(['cluster', 'create', 'gone']);
    expect(await cli.run(['cluster', 'rm', 'gone'])).toMatchObject({ code: 0, stdout: 'gone\n' });
  });
});

describe('wharf build', () => {
  /** Tells the next build to end so, as soon as it is there. */
  async function building(args: readonly string[], end: 'succeeded' | 'failed'): Promise<Ran> {
    const before = cli.api.builds.submitted.length;
    const running = cli.run(['build', ...args]);
    await cli.api.base.until('it was submitted', () => cli.api.builds.submitted.length > before);
    const { builds } = await cli.api.builds.list({ limit: 1 });
    const id = builds[0]?.id ?? '';
    const tell = (event: Parameters<typeof cli.api.builds.tell>[1]) => cli.api.builds.tell(id, event);
    tell({ type: 'step-started', step: 1, name: '[1/2]', instruction: 'FROM busybox' });
    tell({ type: 'step-finished', step: 1, cached: true, milliseconds: 1 });
    tell({ type: 'step-started', step: 2, name: '[2/2]', instruction: 'RUN make' });
    tell({ type: 'step-output', step: 2, stream: 'stdout', text: 'made it\n' });
    tell({
      type: 'step-finished',
      step: 2,
      cached: false,
      milliseconds: 1500,
      failed: end === 'failed',
      layerBytes: 2048,
    });
    const digest = `sha256:${'0'.repeat(64)}` as never;
    const step = { name: '[1/2]', instruction: 'FROM busybox', cached: true, milliseconds: 1 };
    if (end === 'succeeded') {
      const result = { digest, imageId: digest, tags: ['hello:9'], layers: [], steps: [step], stepsCached: 1 };
      tell({ type: 'finished', status: 'succeeded', result });
    } else {
      const error = { code: 'RUN_FAILED', message: 'RUN make ended with 2', file: 'Dockerfile', line: 2 };
      tell({ type: 'finished', status: 'failed', error });
    }
    return running;
  }

  beforeAll(async () => {
    await mkdir(join(cli.folder, 'app'));
    await writeFile(join(cli.folder, 'app', 'Dockerfile'), 'FROM busybox\nRUN make\nCMD ["true"]\n');
  });

  test('shows its steps on stderr and the image on stdout', async () => {
    const built = await building(['app', '-t', 'hello:9', '--build-arg', 'A=1', '--target', 't'], 'succeeded');
    expect(built).toMatchObject({ code: 0, stdout: `hello:9@sha256:${'0'.repeat(64)}\n` });
    expect(built.stderr).toContain('#1 [1/2] FROM busybox\n#1 CACHED\n#2 [2/2] RUN make\n');
    expect(built.stderr).toContain('#2 DONE 1.5s, layer 2.0 KiB\n');
    expect(cli.api.builds.submitted.at(-1)).toMatchObject({
      tags: ['hello:9'],
      args: { A: '1' },
      target: 't',
      dockerfile: 'Dockerfile',
    });
  });

  test('shows the failing line of the Dockerfile and leaves with 1', async () => {
    const failed = await building(['app', '-t', 'hello:9'], 'failed');
    expect(failed).toMatchObject({ code: 1, stdout: '' });
    expect(failed.stderr).toContain('#2 ERROR after 1.5s\n');
    expect(failed.stderr).toContain('ERROR RUN_FAILED: Dockerfile:2: RUN make ended with 2\n');
    expect(failed.stderr).toContain('    1 | FROM busybox\n>>> 2 | RUN make\n    3 | CMD ["true"]\n');
  });

  test('prints the whole build as JSON', async () => {
    expect(json(await building(['app', '--json', '--progress', 'quiet'], 'succeeded'))).toMatchObject({
      status: 'succeeded',
    });
  });

  test('refuses a folder without a Dockerfile before anything is sent', async () => {
    expect(await cli.run(['build', '.'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('DOCKERFILE_NOT_FOUND'),
    });
    expect(await cli.run(['build', 'absent'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('CONTEXT_NOT_FOUND'),
    });
  });
});

describe('exit codes', () => {
  test.each([
    ['an unknown command', ['bogus'], 2],
    ['an unknown option', ['ps', '--bogus'], 2],
    ['a value that is none', ['cluster', 'create', 'x', '--instances', 'many'], 2],
    ['a port that is none', ['deploy', 'web', '--cluster', 'main', '--image', 'hello:1', '--port', '99999'], 2],
    ['a token that is not valid', ['ps', '--token', 'wrong'], 3],
    ['a service that is not there', ['rollback', 'absent', '--cluster', 'main'], 4],
    ['an image that is not there', ['deploy', 'x', '--cluster', 'main', '--image', 'absent'], 4],
    ['a cluster that is in use', ['cluster', 'rm', 'used'], 5],
    ['help', ['--help'], 0],
    ['the version', ['--version'], 0],
  ])('%s', async (_, args, code) => {
    if (args.includes('used')) {
      await cli.run(['cluster', 'create', 'used']);
      await cli.run(['deploy', 'x', '--cluster', 'used', '--image', 'hello:1', '--no-wait', ...small]);
    }
    const ran = await cli.run(args);
    expect([ran.code, ran.stderr]).toEqual([code, expect.any(String)]);
  });

  test('7 when waiting took too long', async () => {
    const { agent } = cli.api.base;
    agent.auto = false;
    const ran = await cli.run([
      'deploy',
      'slow',
      '--cluster',
      'main',
      '--image',
      'hello:1',
      '--timeout',
      '0',
      ...small,
    ]);
    agent.auto = true;
    expect(ran).toMatchObject({ code: 7, stderr: expect.stringContaining('TIMEOUT') });
  });
});

describe('the connection', () => {
  const off = { WHARF_URL: undefined, WHARF_TOKEN: undefined };

  test('comes from the data folder when nothing else is said', async () => {
    expect(await cli.run(['ps'], { env: off })).toMatchObject({ code: 2, stderr: expect.stringContaining('wharf up') });
    await mkdir(join(cli.folder, 'data'));
    const address = { url: cli.url, token: cli.api.tokens.read };
    await writeFile(join(cli.folder, 'data', 'connection.json'), JSON.stringify(address));
    expect(await cli.run(['cluster', 'ls', '--data', 'data'], { env: off })).toMatchObject({ code: 0 });
  });

  test('does not show the token of one platform to another', async () => {
    const ran = await cli.run(['ps', '--data', 'data', '--url', 'http://127.0.0.1:9'], { env: off });
    expect(ran).toMatchObject({ code: 3, stderr: expect.stringContaining('NOT_CONNECTED') });
  });
});

describe('wharf up', () => {
  const platform = (closed: string[]) => ({
    url: 'http://127.0.0.1:7071',
    registry: '127.0.0.1:7071',
    ecs: 'http://127.0.0.1:7071',
    token: 'wharf_0123456789',
    close: async () => void closed.push('closed'),
  });

  test('prints one JSON line when it is ready, and stops cleanly when interrupted', async () => {
    const closed: string[] = [];
    const asked: unknown[] = [];
    const interruption = new AbortController();
    const ran = await cli.run(['up', '--data', 'd', '--listen', '127.0.0.1:7071', '--token', 't', '--json'], {
      interrupted: interruption.signal,
      startEmbedded: async (options) => {
        asked.push(options);
        setTimeout(() => interruption.abort(), 10);
        return platform(closed);
      },
    });
    expect(ran.code).toBe(0);
    expect(ran.stdout.split('\n')).toHaveLength(2);
    expect(json(ran)).toEqual({
      url: 'http://127.0.0.1:7071',
      registry: '127.0.0.1:7071',
      ecs: 'http://127.0.0.1:7071',
      token: 'wharf_0123456789',
    });
    expect(asked).toEqual([{ data: join(cli.folder, 'd'), listen: { host: '127.0.0.1', port: 7071 }, token: 't' }]);
    expect(closed).toEqual(['closed']);
  });

  /** Platforms that end at once. @returns what each was asked for */
  const starts = (pick: (options: EmbeddedOptions) => unknown) => {
    const asked: unknown[] = [];
    const startEmbedded = async (options: EmbeddedOptions) => {
      asked.push(pick(options));
      return platform([]);
    };
    return { asked, deps: { interrupted: AbortSignal.abort(), startEmbedded } };
  };

  test('prints the address, the token and three commands for a person', async () => {
    const interruption = new AbortController();
    interruption.abort();
    const ran = await cli.run(['up'], { interrupted: interruption.signal, startEmbedded: async () => platform([]) });
    expect(ran.stdout).toContain('http://127.0.0.1:7071');
    expect(ran.stdout).toContain('wharf_0123456789');
    expect(ran.stdout.match(/^ {2}np[mx] .*$/gm)).toHaveLength(3);
  });

  test('starts tasks with the OCI runtime of its option, or else of the environment', async () => {
    const { asked, deps } = starts(({ ociRuntime }) => ociRuntime);
    await cli.run(['up'], deps);
    await cli.run(['up', '--oci-runtime', 'crun'], deps);
    await cli.run(['up'], { ...deps, env: { WHARF_OCI_RUNTIME: 'crun' } });
    await cli.run(['up', '--oci-runtime', 'runc'], { ...deps, env: { WHARF_OCI_RUNTIME: 'crun' } });
    expect(asked).toEqual([undefined, 'crun', 'crun', 'runc']);
    expect(await cli.run(['up'], { env: { WHARF_OCI_RUNTIME: 'runsc' } })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('WHARF_OCI_RUNTIME "runsc" is no OCI runtime that is known here'),
    });
  });

  test('gives builds what the operator says', async () => {
    const { asked, deps } = starts(({ building }) => building);
    const rights = ['--allow', 'network.host,security.insecure', '--fetch-from', '10.1.0.0/16'];
    const rules = [{ action: 'DENY', selector: { identifier: 'http://*' } }];
    await writeFile(join(cli.folder, 'policy.json'), JSON.stringify({ rules }));
    const seen = ['--source-policy-file', 'policy.json', '--proxy-network'];
    await cli.run(['up'], deps);
    await cli.run(['up', ...rights, ...seen, '--run-memory', '2g', '--run-cpus', '1.5', '--run-timeout', '30m'], deps);
    expect(asked).toEqual([
      undefined,
      {
        allow: ['network.host', 'security.insecure'],
        fetchFrom: ['10.1.0.0/16'],
        sourcePolicy: { rules },
        proxyNetwork: true,
        memoryBytes: 2 * 1024 ** 3,
        cpus: 1.5,
        timeoutMs: 1_800_000,
      },
    ]);
    expect((await cli.run(['up', '--allow', 'everything'], deps)).code).toBe(2);
    const missing = await cli.run(['up', '--source-policy-file', 'none.json'], { startEmbedded: deps.startEmbedded });
    expect(missing.stderr).toContain('SOURCE_POLICY_INVALID');
  });

  test('refuses an address that is none', async () => {
    expect(await cli.run(['up', '--listen', 'nonsense'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('LISTEN_INVALID'),
    });
  });
});
