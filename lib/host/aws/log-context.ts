/**
 * Ids that belong to every line written while something is handled: the invocation, the message, the build, the task.
 * They go along with the call, so that code far below, which knows none of them, writes lines that can be found by them.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { LogFields, Logger } from '../../store/index.js';

interface Context {
  readonly fields: LogFields;
  /** Every id of the outermost call so far, by its name: what a batch was about. */
  readonly seen: Map<string, Set<unknown>>;
}

const current = new AsyncLocalStorage<Context>();

/** Those of the call this is asked in. */
export function logContext(): LogFields {
  return current.getStore()?.fields ?? {};
}

/** Runs the work with these ids beside those that are there already. */
export function inLogContext<T>(fields: LogFields, work: () => T): T {
  const seen = current.getStore()?.seen ?? new Map<string, Set<unknown>>();
  return current.run({ fields: { ...logContext(), ...fields }, seen }, () => {
    noteIds(fields);
    return work();
  });
}

/** Ids of the outermost call that became known while it ran, and of which no later line has to tell. */
export function noteIds(fields: LogFields): void {
  const seen = current.getStore()?.seen;
  for (const [name, id] of Object.entries(fields)) {
    if (id !== undefined) seen?.set(name, (seen.get(name) ?? new Set()).add(id));
  }
}

/** What the outermost call was about, in all that ran in it: an id, or a list where there were several of a name. */
export function allIds(): LogFields {
  const seen = [...(current.getStore()?.seen ?? [])];
  return Object.fromEntries(seen.map(([name, ids]) => [name, ids.size === 1 ? [...ids][0] : [...ids]]));
}

/** A logger whose lines carry them. */
export function contextLogger(logger: Logger): Logger {
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields: LogFields = {}): void =>
      logger[level](message, { ...logContext(), ...fields });
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => contextLogger(logger.child(fields)),
  };
}
