/**
 * Metrics as lines of the log, in CloudWatch's embedded metric format: nothing is called, nothing waits, and each line
 * has the ids of what it counts. One dimension, the function: what has more is looked for in the line itself. CloudWatch
 * takes money for each metric in each hour that has one, so nothing is sent of what did not happen.
 */
import type { Clock, LogFields, Metrics } from '../../store/index.js';
import { logContext } from './log-context.js';

export const METRIC_NAMESPACE = 'Wharf';

export interface MetricValue {
  readonly value: number;
  readonly unit: 'Count' | 'Milliseconds';
}

export interface MetricLineDeps {
  readonly stream: { write(text: string): unknown };
  readonly clock: Clock;
  /** As Lambda knows it: two installations of one account are told apart by it. */
  readonly functionName: string;
}

/** Writes several values of one moment as one line. A value of nothing is in the line, and no metric. */
export function writeMetrics(
  { stream, clock, functionName }: MetricLineDeps,
  values: Readonly<Record<string, MetricValue>>,
  fields: LogFields = {},
): void {
  const entries = Object.entries(values);
  const told = entries.filter(([, { value }]) => value !== 0);
  const directive = {
    Namespace: METRIC_NAMESPACE,
    Dimensions: [['FunctionName']],
    Metrics: told.map(([Name, { unit }]) => ({ Name, Unit: unit })),
  };
  const line = {
    ...logContext(),
    ...fields,
    FunctionName: functionName,
    ...Object.fromEntries(entries.map(([name, { value }]) => [name, value])),
    ...(told.length === 0 ? {} : { _aws: { Timestamp: clock.nowMs(), CloudWatchMetrics: [directive] } }),
  };
  stream.write(`${JSON.stringify(line)}\n`);
}

/** The port of domain code. */
export function emfMetrics(deps: MetricLineDeps): Metrics {
  return {
    count: (name, value = 1, dimensions = {}) => writeMetrics(deps, { [name]: { value, unit: 'Count' } }, dimensions),
    timing: (name, milliseconds, dimensions = {}) =>
      writeMetrics(deps, { [name]: { value: milliseconds, unit: 'Milliseconds' } }, dimensions),
  };
}

/** Of this function, into its log. */
export function functionMetrics({ clock }: { readonly clock: Clock }): Metrics {
  const functionName = process.env['AWS_LAMBDA_FUNCTION_NAME'] ?? 'wharf';
  return emfMetrics({ clock, stream: process.stdout, functionName });
}
