/** How much a container's log may hold, and what is read of it over its files and over a restart of the agent. */
import { existsSync } from 'node:fs';
import { readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { logLimits } from '../../lib/engine/agent/log-limits.js';
import { DEFAULT_LOG_LIMITS } from '../../lib/runtime/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { type ContainerInput, isContainer, isStopped, payloadOf, script } from './agent-host.js';
import { AgentSuite, describeAgent } from './agent-suite.js';

const KIB = 1024;
test.each([
  [{}, DEFAULT_LOG_LIMITS],
  [{ 'max-file': '5' }, DEFAULT_LOG_LIMITS],
  [{ 'max-size': '10m' }, { bytes: 10 * KIB * KIB, files: 2 }],
  [
    { 'max-size': '1G', 'max-file': '2' },
    { bytes: 2 * KIB ** 3, files: 2 },
  ],
  [
    { 'max-size': '500kb', 'max-file': '3' },
    { bytes: 1500 * KIB, files: 3 },
  ],
  [{ 'max-size': '1' }, { bytes: 128 * KIB, files: 2 }],
])('%j allow %j', (options, limits) => expect(logLimits('json-file', options)).toEqual(limits));

test.each([{ 'max-size': '10x' }, { 'max-size': '0' }, { 'max-size': '-1' }, { 'max-file': '0' }, { 'max-file': 'a' }])(
  '%j are refused',
  (options) => expect(logLimits('json-file', options)).toEqual({ problem: expect.stringMatching(/ is no /) }),
);

test('options of other drivers say nothing about it', () => {
  expect(logLimits('awslogs', { 'max-size': 'x' })).toEqual(DEFAULT_LOG_LIMITS);
  expect(logLimits(undefined)).toEqual(DEFAULT_LOG_LIMITS);
});

describeAgent('the log of a container', () => {
  const suite = new AgentSuite();

  test('is rotated while it is written: the newest lines are there whole, followers miss none', async () => {
    const logOptions = { 'max-size': '64k', 'max-file': '3' };
    const log = { logDriver: 'json-file', logOptions, stopTimeoutSeconds: 0 };
    // Some 40 kB at a time, and the next only once it was told to go on.
    const text =
      'n=1; while [ $n -le 12 ]; do seq $((n*1000-999)) $((n*1000)); while ! test -e /go$n; do sleep 0.05; done; n=$((n+1)); done; echo end; sleep 1000';
    const taskId = suite.start(payloadOf({ app: script(text, log) }));
    await suite.host.event(isContainer(taskId, 'app', 'RUNNING'));
    const id = (await suite.host.containers.list()).find((each) => each.startsWith(taskId)) ?? '';
    const files = async (): Promise<string[]> =>
      (await readdir(join(suite.host.scope.directory, 'logs'))).filter((name) => name.startsWith(`${id}.log`));
    const followed: string[] = [];
    const newest = async (): Promise<number> =>
      Math.max(0, ...(await files()).map((name) => Number(name.split('.log.')[1] ?? 0)));
    for await (const line of suite.host.agent.logs(taskId, 'app', { follow: true }) ?? []) {
      followed.push(line.text);
      if (line.text === 'end') break;
      if (!line.text.endsWith('000')) continue;
      const n = Number(line.text) / 1000;
      // Every second time after a file was put away: those that follow are in several of them.
      const before = await newest();
      if (n % 2 === 0) while ((await newest()) === before) await systemClock.sleep(50);
      await suite.host.containers.exec(id, ['/bin/touch', `/go${String(n)}`], { timeoutMs: 5000 });
    }
    expect(followed).toEqual([...Array.from({ length: 12_000 }, (_, i) => String(i + 1)), 'end']);
    const kept: string[] = [];
    for await (const line of suite.host.agent.logs(taskId, 'app', {}) ?? []) kept.push(line.text);
    expect(kept.length).toBeGreaterThan(1000);
    expect(kept.length).toBeLessThan(12_000);
    expect(kept).toEqual(followed.slice(-kept.length));
    expect((await files()).length).toBeLessThanOrEqual(3);
    await suite.stop(taskId);
    await suite.host.containers.forget(id);
    expect(await files()).toEqual([]);
  });

  test('goes on in a new file also where a kill fell between putting one away and saying so', async () => {
    const text = 'echo one; while ! test -e /go; do sleep 0.05; done; echo two; sleep 1000';
    const taskId = suite.start(payloadOf({ app: script(text, { stopTimeoutSeconds: 0 }) }));
    await suite.wrote(taskId, 'one');
    const id = (await suite.host.containers.list()).find((each) => each.startsWith(taskId)) ?? '';
    const log = join(suite.host.scope.directory, 'logs', `${id}.log`);
    await rename(log, `${log}.1`);
    while (!existsSync(log)) await systemClock.sleep(50);
    await suite.host.containers.exec(id, ['/bin/touch', '/go'], { timeoutMs: 5000 });
    await suite.wrote(taskId, 'two');
    expect(await readFile(log, 'utf8')).toMatch(/ stdout F two\n$/);
    await suite.stop(taskId);
    await expect(suite.logOf(taskId)).resolves.toEqual(['one', 'two']);
  });

  test('is followed over a restart of the agent, and told from a time on', async () => {
    const payload = payloadOf({
      app: script('echo one; while ! test -e /go; do sleep 0.05; done; echo two; sleep 1000', {
        stopTimeoutSeconds: 0,
      }),
    });
    const taskId = suite.start(payload);
    await suite.wrote(taskId, 'one');
    await suite.reopen();
    suite.start(payload);
    await suite.host.event(isContainer(taskId, 'app', 'RUNNING'));
    const id = (await suite.host.containers.list()).find((each) => each.startsWith(taskId)) ?? '';
    await suite.host.containers.exec(id, ['/bin/touch', '/go'], { timeoutMs: 5000 });
    const seen: { readonly text: string; readonly timeMs: number }[] = [];
    for await (const line of suite.host.agent.logs(taskId, 'app', { follow: true }) ?? []) {
      seen.push(line);
      if (line.text === 'two') break;
    }
    expect(seen.map(({ text }) => text)).toEqual(['one', 'two']);
    const sinceMs = seen[1]?.timeMs ?? 0;
    const later: string[] = [];
    for await (const line of suite.host.agent.logs(taskId, 'app', { sinceMs }) ?? []) later.push(line.text);
    expect(later).toEqual(['two']);
    await suite.stop(taskId);
  });
});

describeAgent('the lines of a log group', () => {
  const days: Record<string, number> = { '/kept': 1 };
  const suite = new AgentSuite(() => ({
    keepLogsMs: -1,
    logRetention: {
      current: async () => (group) => (days[group] === undefined ? undefined : days[group] * 86_400_000),
    },
  }));

  test('stay as long as its retention says, all others as long as the agent’s', async () => {
    const of = (group: string | undefined, driver = 'awslogs'): ContainerInput =>
      script('echo written', {
        logDriver: driver,
        ...(group === undefined ? {} : { logOptions: { 'awslogs-group': group } }),
      });
    const kept = payloadOf({ app: of('/kept') });
    // One after the other: the end of an essential container would cut the other short.
    const dependsOn = [{ containerName: 'side', condition: 'SUCCESS' as const }];
    const mixed = payloadOf({
      app: { ...of('/other'), dependsOn },
      side: { ...of('/kept'), essential: false },
    });
    const gone = [
      payloadOf({ app: of('/other') }),
      payloadOf({ app: of('/kept', 'json-file') }),
      payloadOf({ app: of(undefined) }),
    ];
    for (const payload of [kept, mixed, ...gone]) {
      suite.start(payload);
      await suite.host.event(isStopped(payload.taskId));
    }
    await suite.host.agent.sweep(new Set());
    for (const { taskId } of [kept, mixed]) await expect(suite.logOf(taskId)).resolves.toEqual(['written']);
    for (const { taskId } of gone) expect(suite.host.agent.logs(taskId, 'app', {})).toBeUndefined();
    delete days['/kept'];
    await suite.host.agent.sweep(new Set());
    expect(suite.host.agent.logs(kept.taskId, 'app', {})).toBeUndefined();
    expect(
      (await readdir(join(suite.host.scope.directory, 'logs'))).filter((name) => name.includes(kept.taskId)),
    ).toEqual([]);
  });
});
