/**
 * Ids that belong to every line written while something is handled: the invocation, the message, the build, the task.
 * They go along with the call, so that code far below, which knows none of them, writes lines that can be found by them.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { LogFields, Logger } from '../../store/index.js';

const current = new AsyncLocalStorage<LogFields>();

/** Those of the call this is asked in. */
export function logContext(): LogFields {
  return current.getStore() ?? {};
}

/** Runs the work with these ids beside those that are there already. */
export function inLogContext<T>(fields: LogFields, work: () => T): T {
  return current.run({ ...logContext(), ...fields }, work);
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
