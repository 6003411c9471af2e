/**
 * One hash over many parts. Each part goes in as its name, its length and its bytes, so no two different lists of
 * parts can give the same input to the hash: joining with separators has made other builders collide.
 */
import { createHash } from 'node:crypto';

/** A named part of a key. Parts are kept beside the key, so that a miss can say which one changed. */
export interface KeyPart {
  readonly name: string;
  readonly value: string;
}

const FRAMED_AT_ONCE = 64 * 1024;

/** Lower-case hex SHA-256 over the parts, in order. @param count of the parts */
export function hashParts(kind: string, parts: readonly KeyPart[]): string;
export function hashParts(kind: string, parts: Iterable<KeyPart>, count: number): string;
export function hashParts(
  kind: string,
  parts: Iterable<KeyPart>,
  count = (parts as readonly KeyPart[]).length,
): string {
  const hash = createHash('sha256');
  let framed = '';
  // Many parts at once: a context has tens of thousands.
  const frame = (text: string): void => {
    framed += `${Buffer.byteLength(text)}:${text}`;
    if (framed.length < FRAMED_AT_ONCE) return;
    hash.update(framed);
    framed = '';
  };
  frame(kind);
  framed += `${count};`;
  for (const part of parts) {
    frame(part.name);
    frame(part.value);
  }
  return hash.update(framed).digest('hex');
}
