/** Logger that writes one JSON object per line. An error in the fields keeps its code, message and cause. */
import type { Clock, LogFields, Logger } from '../ports.js';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

export interface JsonLoggerOptions {
  /** Lines below it are dropped; default `info`. */
  readonly level?: LogLevel;
  readonly fields?: LogFields;
  /** How an error's stack is told; as it is when absent. */
  readonly tellStack?: (stack: string) => string;
}

export function jsonLogger(
  deps: { readonly stream: { write(text: string): unknown }; readonly clock: Clock },
  options: JsonLoggerOptions = {},
): Logger {
  const { level = 'info', fields = {}, tellStack = asItIs } = options;
  const at =
    (lineLevel: LogLevel) =>
    (message: string, more: LogFields = {}): void => {
      if (RANK[lineLevel] < RANK[level]) return;
      const time = new Date(deps.clock.nowMs()).toISOString();
      deps.stream.write(`${toJson({ time, level: lineLevel, message, ...fields, ...more }, tellStack)}\n`);
    };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (more) => jsonLogger(deps, { ...options, fields: { ...fields, ...more } }),
  };
}

const asItIs = (stack: string): string => stack;

/** Logging never throws: what JSON cannot hold is said in words. */
function toJson(line: Record<string, unknown>, tellStack: (stack: string) => string): string {
  try {
    return JSON.stringify(line, (_key, value: unknown) => {
      if (typeof value === 'bigint') return value.toString();
      return value instanceof Error ? describeError(value, tellStack) : value;
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return JSON.stringify({ time: line['time'], level: line['level'], message: line['message'], unloggable: reason });
  }
}

function describeError(error: Error, tellStack: (stack: string) => string): Record<string, unknown> {
  const code = 'code' in error ? error.code : undefined;
  const stack = error.stack === undefined ? undefined : tellStack(error.stack);
  return { name: error.name, code, message: error.message, stack, cause: error.cause };
}
