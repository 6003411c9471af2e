/**
 * Every function's handler goes through here: its lines carry the invocation's id, and each invocation leaves one line
 * of metrics, with how long it took and what of it failed.
 */
import type { Context } from 'aws-lambda';
import type { Clock } from '../../store/index.js';
import { inLogContext } from './log-context.js';
import { type MetricValue, writeMetrics } from './metrics.js';
import { withSourcePositions } from './source-positions.js';

export type Handler<E, R> = (event: E, context: Context) => Promise<R>;

export interface ObservedDeps {
  readonly clock: Clock;
  /** Standard output when absent. */
  readonly stream?: { write(text: string): unknown };
}

/** @example export const handler = observed(store, async (event: SQSEvent, context) => …) */
export function observed<E, R>(deps: ObservedDeps, handler: Handler<E, R>): Handler<E, R> {
  const { clock, stream = process.stdout } = deps;
  let isCold = true;
  return (event, context) =>
    inLogContext({ invocation: context.awsRequestId }, async () => {
      const startedMs = clock.nowMs();
      const coldStarts = isCold ? 1 : 0;
      isCold = false;
      const tell = (outcome: Readonly<Record<string, number>>): void => {
        const counts = Object.entries({ ColdStarts: coldStarts, ...outcome }).map(
          ([name, value]): [string, MetricValue] => [name, { value, unit: 'Count' }],
        );
        const took: MetricValue = { value: clock.nowMs() - startedMs, unit: 'Milliseconds' };
        const { functionName } = context;
        writeMetrics({ stream, clock, functionName }, { Duration: took, ...Object.fromEntries(counts) });
      };
      try {
        const result = await handler(event, context);
        tell({ Failures: 0, ...countsOf(event, result) });
        return result;
      } catch (error) {
        tell({ Failures: 1 });
        throw withSourcePositions(error);
      }
    });
}

/** What an answer tells: how many messages come again, or what kind of answer HTTP got. */
function countsOf(event: unknown, result: unknown): Readonly<Record<string, number>> {
  if (typeof result !== 'object' || result === null) return {};
  if ('batchItemFailures' in result && Array.isArray(result.batchItemFailures)) {
    const records: unknown = typeof event === 'object' && event !== null ? Reflect.get(event, 'Records') : undefined;
    const messages = Array.isArray(records) ? records.length : 0;
    return { Messages: messages, MessagesFailed: result.batchItemFailures.length };
  }
  if ('statusCode' in result && typeof result.statusCode === 'number') {
    const { statusCode } = result;
    return { Refusals: statusCode >= 400 && statusCode < 500 ? 1 : 0, ServerErrors: statusCode >= 500 ? 1 : 0 };
  }
  return {};
}
