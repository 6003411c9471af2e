/** The two ranges of the protocol: `Range` of a read (RFC 9110, section 14) and `Content-Range` of an upload chunk. */
import type { ByteRange } from '../../store/index.js';

/**
 * @returns undefined when the header asks for nothing we serve in parts (several ranges, another unit, no syntax):
 * then the whole is sent, as RFC 9110 wants
 */
export function parseRange(header: string | null, sizeBytes: number): ByteRange | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d*)-(\d*)$/i.exec((header ?? '').replaceAll(' ', ''));
  if (match === null) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return undefined;
  const range =
    first === ''
      ? { start: Math.max(0, sizeBytes - Number(last)), end: sizeBytes - 1 }
      : { start: Number(first), end: last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1) };
  return range.start > range.end ? 'unsatisfiable' : range;
}

/** Both ends inclusive. `bytes 0-9/*` is read as well as the specification's bare `0-9`. */
export function parseContentRange(header: string): ByteRange | undefined {
  const match = /^(?:bytes[ =])?(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/.exec(header.trim());
  if (match === null) return undefined;
  const range = { start: Number(match[1]), end: Number(match[2]) };
  return range.start > range.end ? undefined : range;
}

/** How much an upload holds, as its `Range` header says it; an empty one says `0-0` like every registry does. */
export function uploadRange(offset: number): string {
  return `0-${Math.max(0, offset - 1)}`;
}
