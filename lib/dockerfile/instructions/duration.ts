/** Durations in Go's syntax, `1h15m30.5s`: what HEALTHCHECK takes. */
import { refusal } from '../errors.js';

const UNITS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  '\u00b5s': 1_000n,
  '\u03bcs': 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};
const LARGEST = (1n << 63n) - 1n;
/** Digits behind the point that can still make a nanosecond of an hour. */
const MAX_FRACTION = 18;

/** Nanoseconds. @throws AppError DOCKERFILE_DURATION */
export function parseDuration(text: string): number {
  const bad = (): Error =>
    refusal('DOCKERFILE_DURATION', `"${text}" is no duration`, {
      hint: 'numbers with units ns, us, ms, s, m, h, for example 30s or 1m30s',
      word: text,
    });
  const sign = /^[+-]/.exec(text)?.[0] ?? '';
  const body = text.slice(sign.length);
  if (body === '0') return 0;
  let total = 0n;
  let end = 0;
  for (const match of body.matchAll(/(\d*)(\.(\d*))?(ns|us|\u00b5s|\u03bcs|ms|s|m|h)(?=[\d.]|$)/g)) {
    const [part, whole = '', point, fraction = '', unit = ''] = match;
    if (match.index !== end || (whole === '' && fraction === '')) throw bad();
    if (point === undefined && whole === '') throw bad();
    end += part.length;
    const scale = UNITS[unit] ?? 0n;
    const digits = fraction.slice(0, MAX_FRACTION);
    if (whole.length > 20) throw bad();
    total += BigInt(whole === '' ? '0' : whole) * scale;
    total += (BigInt(digits === '' ? '0' : digits) * scale) / 10n ** BigInt(digits.length);
    if (total > LARGEST) throw bad();
  }
  if (end !== body.length || body === '') throw bad();
  return Number(sign === '-' ? -total : total);
}

/** An optional duration of HEALTHCHECK: 0 is the same as absent, and less than a millisecond is refused. */
export function parseInterval(flag: string, text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  const nanoseconds = parseDuration(text);
  if (nanoseconds === 0) return undefined;
  if (nanoseconds < 1_000_000) {
    throw refusal('DOCKERFILE_DURATION', `--${flag} cannot be less than 1ms, and is ${text}`, {
      hint: `for example --${flag}=30s`,
      word: text,
    });
  }
  return nanoseconds;
}
