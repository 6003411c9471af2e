/** How much of a container's lines is kept: `max-size` and `max-file` of the log driver json-file, as docker reads them. */

const UNITS: Readonly<Record<string, number>> = { '': 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };
/** The supervisor begins a log anew when it is full, and a line must fit. */
const LEAST_BYTES = 64 * 1024;

/**
 * Bytes of all files together; undefined where nothing is said. One file is kept here, which is begun anew when it is
 * full: never more than was allowed.
 * @returns a problem for what is no size or number
 */
export function logBytes(
  driver: string | undefined,
  options: Readonly<Record<string, string>> = {},
): number | undefined | { readonly problem: string } {
  if (driver !== 'json-file') return undefined;
  const { 'max-size': size, 'max-file': files = '1' } = options;
  if (!/^[1-9]\d{0,3}$/.test(files)) return { problem: `max-file "${files}" is no number of files` };
  if (size === undefined) return undefined;
  const [, digits = '', unit = ''] = /^(\d{1,12})([bkmg]?)b?$/i.exec(size) ?? [];
  const bytes = Number(digits) * (UNITS[unit.toLowerCase()] ?? 0);
  if (bytes === 0) return { problem: `max-size "${size}" is no size such as 10m` };
  return Math.max(LEAST_BYTES, bytes * Number(files));
}
