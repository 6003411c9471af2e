/** Secrets as text: their hash, which is all that is stored of them, and a comparison that tells nothing by its time. */
import { createHash, timingSafeEqual } from 'node:crypto';

/** SHA-256 in hex: enough for secrets of 128 random bits and more, which no table can list. */
export function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** Equal without telling by time how much was equal. */
export function sameText(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}
