/**
 * Digest: the content address of a blob, `<algorithm>:<hex>` (OCI image-spec, descriptor.md, section Digests).
 * A branded string, so it serialises as itself; the parser is the only way in.
 */
import { createHash, type Hash } from 'node:crypto';
import { AppError } from '../errors/index.js';

declare const digestBrand: unique symbol;
export type Digest = string & { readonly [digestBrand]: true };

export type DigestAlgorithm = 'sha256' | 'sha512';

const HEX_LENGTH: Readonly<Record<DigestAlgorithm, number>> = { sha256: 64, sha512: 128 };

/** @throws AppError DIGEST_INVALID, naming the part that is wrong */
export function parseDigest(text: string): Digest {
  const refuse = (part: string): never => {
    throw new AppError('DIGEST_INVALID', `digest ${JSON.stringify(text.slice(0, 200))}: ${part}`, {
      hint: 'sha256:<64 lower-case hex digits> or sha512:<128 lower-case hex digits>',
    });
  };
  const colon = text.indexOf(':');
  if (colon < 0) return refuse('no ":" between algorithm and hex');
  const algorithm = text.slice(0, colon);
  if (!isDigestAlgorithm(algorithm)) return refuse(`algorithm ${JSON.stringify(algorithm)} is not known`);
  const hex = text.slice(colon + 1);
  if (hex.length !== HEX_LENGTH[algorithm]) return refuse(`hex part has ${hex.length} characters`);
  if (!/^[0-9a-f]+$/.test(hex)) return refuse('hex part has a character outside 0-9a-f');
  return text as Digest;
}

export function isDigest(text: string): text is Digest {
  return /^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/.test(text);
}

export function isDigestAlgorithm(name: string): name is DigestAlgorithm {
  return name === 'sha256' || name === 'sha512';
}

export function digestAlgorithm(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256';
}

export function digestHex(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1);
}

/** First twelve hex digits: for people, never for machines. */
export function shortDigest(digest: Digest): string {
  return digestHex(digest).slice(0, 12);
}

/** Digest of bytes held in memory. */
export function digestOf(bytes: Uint8Array | string, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}` as Digest;
}

/** A digest computed while bytes stream by. */
export class Digester {
  private readonly hash: Hash;
  private counted = 0;

  constructor(readonly algorithm: DigestAlgorithm = 'sha256') {
    this.hash = createHash(algorithm);
  }

  update(bytes: Uint8Array): void {
    this.hash.update(bytes);
    this.counted += bytes.length;
  }

  /** Bytes seen so far. */
  get sizeBytes(): number {
    return this.counted;
  }

  /** The digest of all bytes seen so far; more may follow. */
  digest(): Digest {
    return `${this.algorithm}:${this.hash.copy().digest('hex')}` as Digest;
  }
}
