/** What functions tell of themselves: lines that carry ids, and metrics in CloudWatch's embedded format. */
import type { Context } from 'aws-lambda';
import { describe, expect, test } from '@jest/globals';
import { contextLogger, inLogContext, noteIds } from '../../lib/host/aws/log-context.js';
import { observed } from '../../lib/host/aws/observed.js';
import { jsonLogger } from '../../lib/store/system/logger-json-system.js';
import type { Clock } from '../../lib/store/index.js';

const context = { awsRequestId: 'i-1', functionName: 'stack-builder' } as Context;

function recorder() {
  let nowMs = 1_000;
  const lines: Record<string, unknown>[] = [];
  const stream = { write: (text: string) => lines.push(JSON.parse(text) as Record<string, unknown>) };
  const clock: Clock = { nowMs: () => nowMs, sleep: () => Promise.resolve() };
  const logger = contextLogger(jsonLogger({ stream, clock }));
  return { lines, stream, clock, logger, pass: (ms: number) => (nowMs += ms) };
}

describe('an observed handler', () => {
  test('leaves one line of metrics for each invocation, and says which was the first', async () => {
    const { lines, stream, clock, pass } = recorder();
    const handler = observed({ clock, stream }, async (event: { Records: object[] }) => {
      pass(250);
      return { batchItemFailures: event.Records.slice(1).map(() => ({ itemIdentifier: 'm' })) };
    });
    await handler({ Records: [{}, {}, {}] }, context);
    await handler({ Records: [{}] }, context);
    expect(lines).toEqual([
      {
        invocation: 'i-1',
        FunctionName: 'stack-builder',
        Duration: 250,
        ColdStarts: 1,
        Failures: 0,
        Messages: 3,
        MessagesFailed: 2,
        _aws: {
          Timestamp: 1_250,
          CloudWatchMetrics: [
            {
              Namespace: 'Wharf',
              Dimensions: [['FunctionName']],
              Metrics: [
                { Name: 'Messages', Unit: 'Count' },
                { Name: 'MessagesFailed', Unit: 'Count' },
              ],
            },
          ],
        },
      },
      expect.objectContaining({ ColdStarts: 0, Messages: 1, MessagesFailed: 0 }),
    ]);
  });

  test.each([
    [200, { Refusals: 0, ServerErrors: 0 }],
    [404, { Refusals: 1, ServerErrors: 0 }],
    [503, { Refusals: 0, ServerErrors: 1 }],
  ])('counts an answer of %i', async (statusCode, counts) => {
    const { lines, stream, clock } = recorder();
    await observed({ clock, stream }, async () => ({ statusCode }))({}, context);
    expect(lines[0]).toMatchObject(counts);
  });

  test('counts a failure, and throws it on', async () => {
    const { lines, stream, clock } = recorder();
    const handler = observed({ clock, stream }, () => Promise.reject(new Error('no')));
    await expect(handler({}, context)).rejects.toThrow('no');
    expect(lines[0]).toMatchObject({ Failures: 1, ColdStarts: 1 });
  });
});

test('what did not happen is in the line, and is no metric', async () => {
  const { lines, stream, clock } = recorder();
  const handler = observed({ clock, stream }, async (event: { failed: object[] }) => ({
    batchItemFailures: event.failed,
  }));
  await handler({ failed: [] }, context);
  expect(lines[0]).toMatchObject({ Messages: 0, MessagesFailed: 0 });
  expect(lines[0]).not.toHaveProperty('_aws');
  await handler({ failed: [{}] }, context);
  expect(lines[1]).toMatchObject({ _aws: { CloudWatchMetrics: [{ Metrics: [{ Name: 'MessagesFailed' }] }] } });
});

test('the line of an invocation has the ids of all that it was about, a list where there were several', async () => {
  const { lines, stream, clock } = recorder();
  const handler = observed({ clock, stream }, async (event: { tasks: string[] }) => {
    noteIds({ event: 'e-1', absent: undefined });
    await Promise.all(event.tasks.map((task) => inLogContext({ task }, () => Promise.resolve())));
  });
  await handler({ tasks: ['t1', 't2', 't1'] }, context);
  await handler({ tasks: [] }, context);
  expect(lines[0]).toMatchObject({ invocation: 'i-1', event: 'e-1', task: ['t1', 't2'] });
  expect(lines[0]).not.toHaveProperty('absent');
  expect(lines[1]).not.toHaveProperty('task');
});

test('a line carries the ids of the call that it is written in, and of no other that runs beside it', async () => {
  const { lines, stream, clock, logger } = recorder();
  const handler = observed({ clock, stream }, (event: { builds: string[] }) =>
    Promise.all(
      event.builds.map((build) =>
        inLogContext({ build }, async () => {
          await new Promise((resolve) => setImmediate(resolve));
          logger.child({ part: 'x' }).info('built', { task: `t-${build}` });
        }),
      ),
    ),
  );
  await handler({ builds: ['b1', 'b2'] }, context);
  logger.info('outside');
  const told = lines
    .filter(({ message }) => message !== undefined)
    .map((line) => ({ ...line, time: undefined, level: undefined }));
  expect(told).toEqual([
    { message: 'built', invocation: 'i-1', build: 'b1', task: 't-b1', part: 'x' },
    { message: 'built', invocation: 'i-1', build: 'b2', task: 't-b2', part: 'x' },
    { message: 'outside' },
  ]);
});
