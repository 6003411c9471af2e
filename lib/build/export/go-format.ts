/**
 * Go's ways of writing values. BuildKit puts them into history lines and image configs, and image ids are hashes over
 * those bytes, so an image that should equal docker's has to be written the same way.
 */
import { goQuote } from '../../dockerfile/index.js';

/** `%q` of a list of strings. */
export function goQuoteList(values: readonly string[]): string {
  return `[${values.map(goQuote).join(' ')}]`;
}

/** `%v` of a list of strings. */
export function goList(values: readonly string[]): string {
  return `[${values.join(' ')}]`;
}

/** time.Duration.String() of nanoseconds: `0s`, `1.5s`, `500ms`, `1m30s`. */
export function goDuration(nanoseconds: number): string {
  if (nanoseconds === 0) return '0s';
  const sign = nanoseconds < 0 ? '-' : '';
  const value = Math.abs(nanoseconds);
  if (value < 1e3) return `${sign}${value}ns`;
  if (value < 1e6) return `${sign}${value / 1e3}µs`;
  if (value < 1e9) return `${sign}${value / 1e6}ms`;
  const hours = Math.floor(value / 3.6e12);
  const minutes = Math.floor((value % 3.6e12) / 6e10);
  const seconds = (value % 6e10) / 1e9;
  if (hours > 0) return `${sign}${hours}h${minutes}m${seconds}s`;
  return minutes > 0 ? `${sign}${minutes}m${seconds}s` : `${sign}${seconds}s`;
}

/** JSON as Go's encoder writes it: compact, `<`, `>`, `&` and the two line separators escaped, undefined left out. */
export function goJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replace(/[<>&\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

/** A map as Go's encoder writes it: keys sorted by their UTF-8 bytes. */
export function sortedObject<T>(object: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(object).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
}
