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

/** Lower-case hex SHA-256 over the parts, in order. */
export function hashParts(kind: string, parts: readonly KeyPart[]): string {
  const hash = createHash('sha256');
  const frame = (text: string): void => {
    const bytes = Buffer.from(text);
    hash.update(`${bytes.length}:`).update(bytes);
  };
  frame(kind);
  hash.update(`${parts.length};`);
  for (const part of parts) {
    frame(part.name);
    frame(part.value);
  }
  return hash.digest('hex');
}
