/** Commands in containers, as far as the engine decides over them: into which, and how many at once. */
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { ExecEnd, ExecSession } from '../../lib/runtime/index.js';
import { createEngineFixture, type EngineFixture } from './engine-fixture.js';

let fixture: EngineFixture;
const ends: ((end: ExecEnd) => void)[] = [];
const asked: string[] = [];

beforeEach(async () => {
  fixture = await createEngineFixture({ auto: true });
  ends.length = 0;
  asked.length = 0;
  Object.assign(fixture.agent, {
    exec: (taskId: string, container: string): Promise<ExecSession | undefined> => {
      asked.push(container);
      if (!fixture.agent.taskIds.includes(taskId)) return Promise.resolve(undefined);
      const ended = new Promise<ExecEnd>((resolve) => ends.push(resolve));
      const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
      return Promise.resolve({ stdin, stdout, stderr, ended, resize: async () => {}, kill: async () => {} });
    },
  });
  await fixture.instance();
});
afterEach(() => fixture.close());

test('a container has twenty sessions at most; the end of one makes room', async () => {
  await fixture.definition('job');
  const arn = (await fixture.ecs('RunTask', { taskDefinition: 'job' })).tasks?.[0]?.taskArn ?? '';
  const open = (): Promise<ExecSession> => fixture.engine.exec(arn, undefined, { args: ['sh'] });
  const results = await Promise.allSettled(Array.from({ length: 22 }, open));
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(20);
  await expect(open()).rejects.toMatchObject({ code: 'EXEC_SESSIONS_FULL', retryable: true });
  ends[0]?.({ exitCode: 0 });
  await fixture.quiet();
  await open();
  await expect(open()).rejects.toMatchObject({ code: 'EXEC_SESSIONS_FULL' });
});

test('the first essential container is taken when none is named; what does not run is told so', async () => {
  const sidecar = { name: 'sidecar', image: 'a', memory: 16, essential: false };
  await fixture.definition('two', { containerDefinitions: [sidecar, { name: 'app', image: 'a', memory: 16 }] });
  const arn = (await fixture.ecs('RunTask', { taskDefinition: 'two' })).tasks?.[0]?.taskArn ?? '';
  await fixture.engine.exec(arn, undefined, { args: ['sh'] });
  await fixture.engine.exec(arn, 'sidecar', { args: ['sh'] });
  expect(asked).toEqual(['app', 'sidecar']);
  const nobody = arn.replace(/[^/]+$/, 'f'.repeat(32));
  for (let count = 0; count < 25; count += 1) {
    await expect(fixture.engine.exec(nobody, 'app', { args: ['sh'] })).rejects.toMatchObject({
      code: 'TASK_NOT_RUNNING',
    });
  }
});
