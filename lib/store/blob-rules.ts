/** What every BlobStore refuses, in the same words. */
import { AppError } from '../errors/index.js';
import type { Digest } from '../oci/index.js';
import type { ByteRange } from './ports.js';

/** @throws AppError RANGE_INVALID. An end past the last byte is fine: what there is, is read. */
export function checkRange(range: ByteRange, sizeBytes = Number.MAX_SAFE_INTEGER): void {
  if (range.start >= 0 && range.start <= range.end && range.start < sizeBytes) return;
  throw rangeInvalid(range);
}

export function rangeInvalid(range: ByteRange): AppError {
  return new AppError('RANGE_INVALID', `bytes ${range.start} to ${range.end} are not a range of this blob`, {
    hint: 'a start below the size, and an end not before the start',
  });
}

export function digestMismatch(expected: Digest, actual: Digest): AppError {
  return new AppError('DIGEST_MISMATCH', `the bytes hash to ${actual}, not to ${expected}`, {
    hint: 'send the bytes that belong to the digest',
  });
}

export function uploadAborted(id: string): AppError {
  return new AppError('UPLOAD_ABORTED', `upload ${id} was aborted`, { kind: 'conflict', hint: 'start a new upload' });
}
