/**
 * Every function's handler goes through here: its lines carry the invocation's id, and each invocation leaves one line
 * of metrics, with how long it took, what of it failed, and the ids of all that it was about.
 */
import type { Context } from 'aws-lambda';
import type { Clock } from '../../store/index.js';
import { allIds, inLogContext } from './log-context.js';
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
      const ColdStarts = isCold ? 1 : 0;
      isCold = false;
      // The first three are in the line alone: Lambda counts them as well, and for nothing.
      const tell = (Failures: number, outcome: Readonly<Record<string, number>>): void => {
        const counts = Object.entries(outcome).map(([name, value]): [string, MetricValue] => [
          name,
          { value, unit: 'Count' },
        ]);
        const { functionName } = context;
        const fields = { ...allIds(), Duration: clock.nowMs() - startedMs, ColdStarts, Failures };
        writeMetrics({ stream, clock, functionName }, Object.fromEntries(counts), fields);
      };
      try {
        const result = await handler(event, context);
        tell(0, countsOf(event, result));
        return result;
      } catch (error) {
        tell(1, {});
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
