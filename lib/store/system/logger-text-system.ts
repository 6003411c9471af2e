/** Logger for a person at a terminal: a word, the message, and the fields that are short enough to read on one line. */
import type { LogFields, Logger } from '../ports.js';

const LONGEST_FIELD = 200;

/** Writes warnings and errors only. */
export function textLogger(stream: { write(text: string): unknown }, fields: LogFields = {}): Logger {
  const at =
    (word: string) =>
    (message: string, more: LogFields = {}): void => {
      const said = Object.entries({ ...fields, ...more }).flatMap(([name, value]) => fieldText(name, value));
      stream.write(`${word}: ${message}${said.length === 0 ? '' : ` (${said.join(', ')})`}\n`);
    };
  return {
    debug: () => undefined,
    info: () => undefined,
    warn: at('warning'),
    error: at('error'),
    child: (more) => textLogger(stream, { ...fields, ...more }),
  };
}

function fieldText(name: string, value: unknown): readonly string[] {
  if (value instanceof Error) return [value.message];
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') return [];
  const text = String(value);
  return text.length > LONGEST_FIELD ? [] : [`${name} ${text}`];
}
