/**
 * How a build says no: a code, a sentence, and the place in the Dockerfile. Parts refuse without knowing where they
 * stand; the place is put on by whoever holds the instruction, and a BuildError is made here, once, at the end.
 */
import { AppError, type AppErrorOptions, toAppError } from '../errors/index.js';
import type { BuildError } from './types.js';

/** An instruction and where it stands, one-based. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** The instruction as written, all its lines. */
  readonly original: string;
}

/**
 * A refusal while planning; the place is added by whoever knows the instruction (`withPlace`).
 * @param word what the column shall point at
 */
export function refusal(
  code: string,
  message: string,
  options: AppErrorOptions & { readonly word?: string } = {},
): AppError {
  const { word, ...rest } = options;
  return new AppError(code, message, word === undefined ? rest : { ...rest, details: { ...rest.details, word } });
}

/** Known to the language, not offered here. The code is `BUILD_UNSUPPORTED_<what>`. */
export function unsupported(what: string, message: string, accepted: string, word?: string): AppError {
  const options = { kind: 'unsupported', hint: accepted } as const;
  return refusal(`BUILD_UNSUPPORTED_${what}`, message, word === undefined ? options : { ...options, word });
}

/** The same error, at the word it is about or at the instruction, unless it has a place already. */
export function withPlace(error: unknown, place: Place): AppError {
  const known = toAppError(error);
  if (typeof known.details['line'] === 'number') return known;
  const { word, ...details } = known.details;
  const at = typeof word === 'string' && word !== '' ? place.original.indexOf(word) : -1;
  const before = (at < 0 ? '' : place.original.slice(0, at)).split('\n');
  const row = before.length - 1;
  const line = place.line + row;
  const column = at < 0 ? place.column : (row === 0 ? place.column - 1 : 0) + (before[row] ?? '').length + 1;
  const sourceLine = place.original.split('\n')[row] ?? '';
  return new AppError(known.code, `${place.file}:${line}:${column}: ${known.message}`, {
    kind: known.kind,
    retryable: known.retryable,
    cause: error,
    ...(known.hint === undefined ? {} : { hint: known.hint }),
    details: { ...details, file: place.file, line, column, sourceLine },
  });
}

/** What the record and the last event say. */
export function toBuildError(error: unknown): BuildError {
  const known = toAppError(error);
  const { file, line, column, ...details } = known.details;
  return {
    code: known.code,
    message: known.message,
    ...(known.hint === undefined ? {} : { hint: known.hint }),
    ...(typeof file === 'string' ? { file } : {}),
    ...(typeof line === 'number' ? { line } : {}),
    ...(typeof column === 'number' ? { column } : {}),
    ...(Object.keys(details).length === 0 ? {} : { details }),
  };
}

/** Up to three candidates that a person may have meant, nearest first. */
export function closeNames(wanted: string, candidates: Iterable<string>): string[] {
  const limit = Math.max(2, Math.floor(wanted.length / 3));
  const scored: { readonly name: string; readonly distance: number }[] = [];
  for (const name of candidates) {
    if (Math.abs(name.length - wanted.length) > limit) continue;
    const distance = editDistance(wanted.toLowerCase(), name.toLowerCase());
    if (distance <= limit) scored.push({ name, distance });
  }
  scored.sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1));
  return scored.slice(0, 3).map(({ name }) => name);
}

/** Levenshtein, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
