/** What was deployed, what failed of it, and what the next release goes on from. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type CliFixture, createCliFixture, type Ran } from './cli-fixture.js';

const small = ['--cpu', '2', '--memory', '6'];
let cli: CliFixture;

beforeAll(async () => {
  cli = await createCliFixture();
  await cli.api.base.images.add('hello:1');
  await cli.api.base.images.add('hello:2', { label: 'two' });
});

afterAll(() => cli.close());

const json = ({ stdout }: Ran) => JSON.parse(stdout) as Record<string, unknown>;

/** Deploys while every new task ends at once. */
async function deployInVain(...args: readonly string[]): Promise<Ran> {
  const { agent } = cli.api.base;
  const before = new Set(agent.taskIds);
  const ending = setInterval(() => {
    for (const id of agent.taskIds.filter((each) => !before.has(each))) agent.exit(id, 'web', 3);
  }, 20);
  const failed = await cli.run(['deploy', 'web', ...args]);
  clearInterval(ending);
  return failed;
}

describe('without anything', () => {
  test('the next command is said', async () => {
    expect(await cli.run(['ps'])).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringContaining('cluster create'),
    });
    await cli.run(['cluster', 'create', 'main', '--instances', '2']);
    expect(await cli.run(['ps'])).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringContaining('wharf deploy'),
    });
  });

  test('a service that is not there is an error', async () => {
    const ran = await cli.run(['ps', 'nosuch']);
    expect(ran).toMatchObject({ code: 4, stderr: expect.stringContaining('SERVICE_NOT_FOUND') });
  });
});

describe('after a release that failed', () => {
  beforeAll(async () => {
    const first = ['--image', 'hello:1', '-e', 'KEPT=1', '-e', 'GONE=1', ...small];
    expect(await cli.run(['deploy', 'web', ...first])).toMatchObject({ code: 0 });
    const failed = await deployInVain('--image', 'hello:2', '-e', 'BAD=1');
    expect(failed).toMatchObject({ code: 1 });
    const [, id = ''] = /wharf logs ([0-9a-f]{12}) shows what its last task wrote/.exec(failed.stderr) ?? [];
    expect((await cli.run(['ps', 'web', '--all'])).stdout).toMatch(new RegExp(`^${id} +web +2 +STOPPED`, 'm'));
  });

  test('ps shows what runs, and what became of the newer one', async () => {
    expect((await cli.run(['ps', 'web'])).stdout).toMatch(/main +web +1 +hello:1 +1\/1 +release 2 rolled-back/);
  });

  test('releases marks the one that is deployed', async () => {
    const { stdout } = await cli.run(['releases', 'web']);
    expect(stdout).toMatch(/^2 +hello:2 +sha256:\S+ +1 +rolled-back/m);
    expect(stdout).toMatch(/^1 \* +hello:1 +sha256:\S+ +1 +completed/m);
    expect(json(await cli.run(['releases', 'web', '--json']))).toMatchObject({
      service: { currentRelease: 1 },
      releases: [{ number: 2 }, { number: 1 }],
      deployments: [{ release: 2, status: 'rolled-back' }, { release: 1 }],
    });
    const none = await cli.run(['rollback', 'web', '--to', '9']);
    expect(none).toMatchObject({ code: 4, stderr: expect.stringContaining('wharf releases web') });
  });

  test('events tells it, the newest at the end', async () => {
    const lines = (await cli.run(['events', 'web'])).stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^\d{4}-\S+Z main\/web: release 1 of web: image hello:1$/);
    expect(lines.at(-1)).toMatch(/release 2 failed and was rolled back to release 1: .*exit code 3/);
    expect(json(await cli.run(['events', '--json', '--limit', '2']))['events']).toHaveLength(2);
  });

  test('the next one goes on from what runs, and a variable can be taken away', async () => {
    const deployed = await cli.run(['deploy', 'web', '--env-rm', 'GONE', '--json']);
    expect(json(deployed)).toMatchObject({ release: { number: 3, spec: { image: 'hello:1', env: { KEPT: '1' } } } });
    expect(json(deployed)).not.toMatchObject({ release: { spec: { env: { GONE: '1' } } } });
    expect(deployed.stderr).toContain('release 2 of web failed: the new one goes on from release 1\n');
  });
});

describe('tokens', () => {
  test('are made for a role, used, listed without their secret, and revoked by name', async () => {
    const made = await cli.run(['token', 'create', 'ci', '--role', 'read', '--expires', '1h']);
    expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^wharf_[0-9a-f]+\n$/) });
    const secret = made.stdout.trim();
    const env = { WHARF_TOKEN: secret };
    expect(await cli.run(['ps'], { env })).toMatchObject({ code: 0 });
    expect(await cli.run(['stop', 'web'], { env })).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('FORBIDDEN'),
    });
    const { stdout } = await cli.run(['token', 'ls']);
    expect(stdout).toMatch(/^\S+ +ci +read +\d+s +in \d+m$/m);
    expect(stdout).not.toContain(secret);
    expect(await cli.run(['token', 'revoke', 'ci'])).toMatchObject({ code: 0 });
    expect(await cli.run(['ps'], { env })).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('UNAUTHENTICATED'),
    });
    expect(await cli.run(['token', 'revoke', 'ci'])).toMatchObject({ code: 4 });
    expect(await cli.run(['token', 'create', 'ci', '--role', 'king'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('(wharf token create --help shows how)'),
    });
  });
});

describe('builds', () => {
  test('are listed, followed to their end, and asked to stop', async () => {
    const { builds } = cli.api;
    const begun = async () =>
      (await builds.submit({ context: `sha256:${'0'.repeat(64)}` as never, tags: ['app:1'] })).id;
    const id = await begun();
    builds.tell(id, { type: 'step-started', step: 1, name: '[1/1]', instruction: 'RUN make' });
    builds.tell(id, { type: 'step-output', step: 1, stream: 'stdout', text: 'making\n' });
    const error = { code: 'RUN_FAILED', message: 'RUN make ended with 2', hint: 'look at make' };
    builds.tell(id, { type: 'finished', status: 'failed', error });
    expect(await cli.run(['builds', 'log', id])).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('#1 [1/1] RUN make\n'),
      stderr: 'error RUN make ended with 2 (RUN_FAILED)\n  look at make\n',
    });
    expect((await cli.run(['builds'])).stdout).toMatch(new RegExp(`^${id} +failed +app:1`, 'm'));
    expect(await cli.run(['builds', 'cancel', id])).toMatchObject({ code: 0, stdout: `${id}\n` });
    expect(await cli.run(['builds', 'log', 'nosuch'])).toMatchObject({ code: 4 });
  });
});
