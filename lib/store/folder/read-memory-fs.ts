/**
 * Memory that pieces of files are read into. What glibc gives at this size begins 16 bytes behind a page, and the bytes of
 * files lie in the system's cache from the beginning of a page on. AMD's processors since Zen 3 copy between two such
 * places at a quarter of their speed, which is then most of what reading costs (decision 131).
 */

/** Half a page further is far from both ends of one. */
const AWAY_BYTES = 2048;
/** Less comes from glibc's heap, where it begins anywhere. */
const FROM_HEAP_BYTES = 128 * 1024;

/** With whatever was there before in it. */
export function readMemory(sizeBytes: number): Buffer {
  if (sizeBytes < FROM_HEAP_BYTES) return Buffer.allocUnsafe(sizeBytes);
  return Buffer.allocUnsafeSlow(sizeBytes + AWAY_BYTES).subarray(AWAY_BYTES);
}
