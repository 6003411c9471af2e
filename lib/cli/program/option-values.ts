/** How the values of options are read; a wrong one is a usage error that says what is wanted. */
import { InvalidArgumentError } from 'commander';

export function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

export function filled<T>(values: readonly T[]): readonly T[] | undefined {
  return values.length === 0 ? undefined : values;
}

export function collectOptional(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

export function whole(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('A whole number is wanted, 0 or more.');
}

export function duration(text: string): number {
  const [, digits, unit = ''] = /^(\d+)(s|m|h)$/.exec(text) ?? [];
  if (digits === undefined) throw new InvalidArgumentError('30s, 10m or 2h is wanted.');
  return Number(digits) * ({ s: 1000, m: 60_000, h: 3_600_000 }[unit] ?? 0);
}

/** Seconds of a life that is told in days as often as in hours. */
export function lifetimeSeconds(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,6})(m|h|d)$/.exec(text) ?? [];
  if (digits === undefined || Number(digits) === 0) throw new InvalidArgumentError('30m, 12h or 90d is wanted.');
  return Number(digits) * ({ m: 60, h: 3600, d: 86_400 }[unit] ?? 0);
}

/** The same, or `forever`, which is 0. */
export function keepSeconds(text: string): number {
  return text === 'forever' ? 0 : lifetimeSeconds(text);
}

/** Binary units, as docker's and as our own output. */
export function byteCount(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,9})([KMGT])(?:iB)?$/.exec(text) ?? [];
  if (digits === undefined) throw new InvalidArgumentError('500M, 20G or 1T is wanted.');
  return Number(digits) * 1024 ** (1 + 'KMGT'.indexOf(unit));
}

/** `NAME=value`; a bare `NAME` takes its value from the environment, as docker does. */
export function pairs(
  texts: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  return Object.fromEntries(
    texts.flatMap((text) => {
      const equals = text.indexOf('=');
      if (equals > 0) return [[text.slice(0, equals), text.slice(equals + 1)]];
      const value = env[text];
      return value === undefined ? [] : [[text, value]];
    }),
  );
}

/** `VARIABLE=secret`; a bare name is both. */
export function secretPairs(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const equals = text.indexOf('=');
      return equals > 0 ? [text.slice(0, equals), text.slice(equals + 1)] : [text, text];
    }),
  );
}

/** Bytes as docker's command line has them: `512m`, `1g`, `65536`. */
export function size(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,15})([bkmgt]?)b?$/i.exec(text) ?? [];
  if (digits === undefined) throw new InvalidArgumentError('512m, 2g or a number of bytes is wanted.');
  return Number(digits) * 1024 ** Math.max(0, 'bkmgt'.indexOf(unit.toLowerCase()));
}
