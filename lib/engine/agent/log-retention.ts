/**
 * How long the lines of a task stay after its end: as long as the operator keeps the log group that a container names
 * with the driver awslogs. A task's lines go together, so the longest of its containers counts.
 */
import type { TaskRecord } from './task-records.js';
import type { ContainerPayload } from './types.js';

export interface LogRetention {
  /** For each log group the milliseconds its lines are kept; undefined for one that nothing is said about. */
  current(): Promise<(group: string) => number | undefined>;
}

export function logGroupOf({ logDriver, logOptions }: ContainerPayload): string | undefined {
  return logDriver === 'awslogs' ? logOptions?.['awslogs-group'] : undefined;
}

export function keepMs(
  { containers }: Pick<TaskRecord, 'containers'>,
  retentionOf: (group: string) => number | undefined,
  otherwiseMs: number,
): number {
  const each = Object.values(containers).map(({ logGroup }) =>
    logGroup === undefined ? otherwiseMs : (retentionOf(logGroup) ?? otherwiseMs),
  );
  return each.length === 0 ? otherwiseMs : Math.max(...each);
}
