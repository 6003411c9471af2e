/** Logger that writes one JSON object per line. An error in the fields keeps its code, message and cause. */
import type { Clock, LogFields, Logger } from './ports.js';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

export interface JsonLoggerOptions {
  /** Lines below it are dropped; default `info`. */
  readonly level?: LogLevel;
  readonly fields?: LogFields;
}

export function jsonLogger(
  deps: { readonly stream: { write(text: string): unknown }; readonly clock: Clock },
  options: JsonLoggerOptions = {},
): Logger {
  const { level = 'info', fields = {} } = options;
  const at =
    (lineLevel: LogLevel) =>
    (message: string, more: LogFields = {}): void => {
      if (RANK[lineLevel] < RANK[level]) return;
      const time = new Date(deps.clock.nowMs()).toISOString();
      deps.stream.write(`${toJson({ time, level: lineLevel, message, ...fields, ...more })}\n`);
    };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (more) => jsonLogger(deps, { level, fields: { ...fields, ...more } }),
  };
}

/** Logging never throws: what JSON cannot hold is said in words. */
function toJson(line: Record<string, unknown>): string {
  try {
    return JSON.stringify(line, (_key, value: unknown) => {
      if (typeof value === 'bigint') return value.toString();
      return value instanceof Error ? describeError(value) : value;
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return JSON.stringify({ time: line['time'], level: line['level'], message: line['message'], unloggable: reason });
  }
}

function describeError(error: Error): Record<string, unknown> {
  const code = 'code' in error ? error.code : undefined;
  return { name: error.name, code, message: error.message, stack: error.stack, cause: error.cause };
}
