/** How much of a container's lines is kept: `max-size` and `max-file` of the log driver json-file, as docker reads them. */
import { DEFAULT_LOG_LIMITS, type LogLimits } from '../../runtime/index.js';

const UNITS: Readonly<Record<string, number>> = { '': 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };
/** A line must fit into one file. */
const LEAST_BYTES = 64 * 1024;
/** Of one alone nothing would be left when it is full. */
const FEWEST_FILES = 2;

/**
 * The bytes of all files together are those of `max-size` times `max-file`.
 * @returns a problem for what is no size or number
 */
export function logLimits(
  driver: string | undefined,
  options: Readonly<Record<string, string>> = {},
): LogLimits | { readonly problem: string } {
  if (driver !== 'json-file') return DEFAULT_LOG_LIMITS;
  const { 'max-size': size, 'max-file': files = '1' } = options;
  if (!/^[1-9]\d{0,3}$/.test(files)) return { problem: `max-file "${files}" is no number of files` };
  if (size === undefined) return DEFAULT_LOG_LIMITS;
  const [, digits = '', unit = ''] = /^(\d{1,12})([bkmg]?)b?$/i.exec(size) ?? [];
  const bytes = Number(digits) * (UNITS[unit.toLowerCase()] ?? 0);
  if (bytes === 0) return { problem: `max-size "${size}" is no size such as 10m` };
  const count = Math.max(FEWEST_FILES, Number(files));
  return { bytes: Math.max(LEAST_BYTES * count, bytes * Number(files)), files: count };
}
