import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Clock } from '../../lib/store/index.js';
import { type CliFixture, createCliFixture } from './cli-fixture.js';

const small = ['--cpu', '2', '--memory', '6'];
let cli: CliFixture;

beforeAll(async () => {
  cli = await createCliFixture();
  await cli.api.base.images.add('job:1');
  await cli.run(['cluster', 'create', 'main', '--instances', '1']);
});

afterAll(() => cli.close());

/** A clock by which the command waits no longer than until its tasks run, and have ended with these codes. */
function endingWith(...codes: readonly number[]): Clock {
  const { agent, platform, store } = cli.api.base;
  const known = new Set<string>();
  return {
    nowMs: () => store.clock.nowMs(),
    async sleep(ms, signal) {
      const { items } = await platform.tasks.list('main');
      for (const { id, status } of items) {
        if (status !== 'RUNNING' || known.has(id)) continue;
        agent.exit(id, 'main', codes[known.size] ?? 0);
        known.add(id);
      }
      await store.clock.sleep(Math.min(ms, 20), signal);
    },
  };
}

describe('wharf run', () => {
  test('shows what its container writes, waits for its end, and leaves as it did', async () => {
    const ran = await cli.run(['run', 'job:1', ...small, '-e', 'A=1', '--entrypoint', 'env', '--', 'make', '-j'], {
      clock: endingWith(4),
    });
    expect(ran).toMatchObject({ code: 4, stdout: expect.stringMatching(/^hello from [0-9a-f]{32}\n$/) });
    expect(ran.stderr).toMatch(/^task [0-9a-f]{32}\ntask [0-9a-f]{12}: exit code 4\n$/);
    expect(cli.api.base.agent.runs[0]?.containers[0]).toMatchObject({
      entryPoint: ['env'],
      command: ['make', '-j'],
      environment: ['A=1'],
    });
    const fine = await cli.run(['run', 'job:1', ...small], { clock: endingWith(0) });
    expect(fine).toMatchObject({ code: 0, stderr: expect.stringMatching(/^task [0-9a-f]{32}\n$/) });
  });

  test('runs many, and says how many failed', async () => {
    const ran = await cli.run(['run', 'job:1', '--count', '12', ...small], { clock: endingWith(0, 3, 0, 5) });
    expect(ran.stdout.match(/^[0-9a-f]{32}$/gm)).toHaveLength(12);
    expect(ran).toMatchObject({ code: 1, stderr: expect.stringContaining('2 of 12 tasks failed (TASKS_FAILED)') });
    const json = await cli.run(['run', 'job:1', '--count', '2', '--json', ...small], { clock: endingWith() });
    expect(JSON.parse(json.stdout)).toMatchObject({
      tasks: [{ status: 'STOPPED' }, { status: 'STOPPED' }],
      notStarted: 0,
    });
  });

  test('gives up waiting in time, and lets them go on', async () => {
    const ran = await cli.run(['run', 'job:1', '--timeout', '0', ...small]);
    expect(ran).toMatchObject({ code: 7, stderr: expect.stringContaining('TIMEOUT') });
    const { items } = await cli.api.base.platform.tasks.list('main');
    expect(items.map(({ id }) => id)).toContain(/^task ([0-9a-f]{32})$/m.exec(ran.stderr)?.[1]);
  });

  test('does not wait when told so, and fails when some have no place', async () => {
    const [instance] = await cli.api.base.platform.clusters.instances('main');
    const half = ['--memory', String(Math.floor((instance?.remaining.memory ?? 0) / 2))];
    const ran = await cli.run(['run', 'job:1', '--count', '3', '--no-wait', ...half]);
    expect(ran.stdout.match(/^[0-9a-f]{32}$/gm)).toHaveLength(2);
    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain('1 of 3 tasks were not started: RESOURCE:MEMORY (TASKS_NOT_STARTED)');
  });
});
