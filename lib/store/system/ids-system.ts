/**
 * Ids from the machine's clock and random source. ULIDs (github.com/ulid/spec) of one process are strictly ascending:
 * within a millisecond, or when the clock steps back, the random part counts up.
 */
import { randomBytes } from 'node:crypto';
import type { Ids } from '../ports.js';

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const RANDOM_BITS = 80n;

let lastMs = 0;
let lastRandom = 0n;

export const systemIds: Ids = {
  ulid(): string {
    const nowMs = Date.now();
    if (nowMs > lastMs) {
      lastMs = nowMs;
      lastRandom = BigInt(`0x${randomBytes(10).toString('hex')}`);
    } else if (++lastRandom >> RANDOM_BITS !== 0n) {
      lastMs += 1;
      lastRandom = 0n;
    }
    return base32(BigInt(lastMs), 10) + base32(lastRandom, 16);
  },
  hex: (bytes) => randomBytes(bytes).toString('hex'),
};

function base32(value: bigint, length: number): string {
  let text = '';
  for (let rest = value; text.length < length; rest >>= 5n) text = (ALPHABET[Number(rest & 31n)] ?? '') + text;
  return text;
}
