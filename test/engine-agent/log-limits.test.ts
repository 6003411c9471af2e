/** How much a container's log may hold, and what is read of it when it was begun anew or the agent was. */
import { expect, test } from '@jest/globals';
import { logBytes } from '../../lib/engine/agent/log-limits.js';
import { isContainer, payloadOf, script } from './agent-host.js';
import { AgentSuite, describeAgent } from './agent-suite.js';

test.each([
  [{}, undefined],
  [{ 'max-file': '5' }, undefined],
  [{ 'max-size': '10m' }, 10 << 20],
  [{ 'max-size': '1G' }, 1 << 30],
  [{ 'max-size': '500kb', 'max-file': '3' }, 1500 * 1024],
  [{ 'max-size': '1' }, 64 * 1024],
])('%j allow %j bytes', (options, bytes) => expect(logBytes('json-file', options)).toBe(bytes));

test.each([{ 'max-size': '10x' }, { 'max-size': '0' }, { 'max-size': '-1' }, { 'max-file': '0' }, { 'max-file': 'a' }])(
  '%j are refused',
  (options) => expect(logBytes('json-file', options)).toEqual({ problem: expect.stringMatching(/ is no /) }),
);

test('options of other drivers say nothing about it', () => {
  expect(logBytes('awslogs', { 'max-size': 'x' })).toBeUndefined();
  expect(logBytes(undefined)).toBeUndefined();
});

describeAgent('the log of a container', () => {
  const suite = new AgentSuite();

  test('is begun anew when it is full, with its newest lines whole', async () => {
    const lines = await suite.output(
      payloadOf({
        app: script('seq 1 20000', { logDriver: 'json-file', logOptions: { 'max-size': '100k', 'max-file': '2' } }),
      }),
    );
    expect(lines.length).toBeLessThan(20_000);
    expect(lines.at(-1)).toBe('20000');
    expect(lines).toEqual(lines.map((_, i) => String(20_000 - lines.length + 1 + i)));
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
