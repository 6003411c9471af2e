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

/** Lower-case hex SHA-256 over the parts, in order. */
export function hashParts(kind: string, parts: readonly KeyPart[]): string {
  const hash = new PartsHash(kind, parts.length);
  for (const part of parts) hash.add(part);
  return hash.digest();
}

/** The same of parts that come one after the other. */
export class PartsHash {
  private readonly hash = createHash('sha256');
  /** Many parts at once: a context has tens of thousands. */
  private framed = '';

  /** @param count how many parts there will be */
  constructor(kind: string, count: number) {
    this.frame(kind);
    this.framed += `${count};`;
  }

  add({ name, value }: KeyPart): void {
    this.frame(name);
    this.frame(value);
    if (this.framed.length < FRAMED_AT_ONCE) return;
    this.hash.update(this.framed);
    this.framed = '';
  }

  digest(): string {
    return this.hash.update(this.framed).digest('hex');
  }

  private frame(text: string): void {
    this.framed += `${Buffer.byteLength(text)}:${text}`;
  }
}
