import { describe, expect, test } from '@jest/globals';
import { createHash } from 'node:crypto';
import { digestAlgorithm, Digester, digestHex, digestOf, isDigest, parseDigest } from '../../lib/oci/index.js';
import { refusalOf } from '../refusal.js';

const EMPTY = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

describe('a digest', () => {
  test('parses to itself and tells its parts', () => {
    const digest = parseDigest(EMPTY);
    expect(digest).toBe(EMPTY);
    expect(digestAlgorithm(digest)).toBe('sha256');
    expect(digestHex(digest)).toBe(EMPTY.slice(7));
  });

  test('of bytes is what the platform’s own hash says, for both algorithms', () => {
    for (const algorithm of ['sha256', 'sha512'] as const) {
      const expected = `${algorithm}:${createHash(algorithm).update('wharf').digest('hex')}`;
      expect(digestOf('wharf', algorithm)).toBe(expected);
      expect(isDigest(expected)).toBe(true);
    }
    expect(digestOf('')).toBe(EMPTY);
  });

  test('can be read while bytes still stream', () => {
    const digester = new Digester();
    digester.update(Buffer.from('wh'));
    expect(digester.digest()).toBe(digestOf('wh'));
    digester.update(Buffer.from('arf'));
    expect(digester.digest()).toBe(digestOf('wharf'));
    expect(digester.sizeBytes).toBe(5);
  });

  test.each([
    ['', 'no ":"'],
    ['sha256', 'no ":"'],
    ['md5:d41d8cd98f00b204e9800998ecf8427e', 'algorithm "md5"'],
    ['sha256:abc', 'hex part has 3 characters'],
    [EMPTY.toUpperCase(), 'algorithm "SHA256"'],
    [`sha256:${'E3'.repeat(32)}`, 'outside 0-9a-f'],
    [`sha256:${'a'.repeat(63)}\n`, 'outside 0-9a-f'],
    [`sha512:${'a'.repeat(64)}`, 'hex part has 64 characters'],
  ])('refuses %j and names the part that is wrong', (text, part) => {
    expect(isDigest(text)).toBe(false);
    expect(refusalOf(() => parseDigest(text)).code).toBe('DIGEST_INVALID');
    expect(() => parseDigest(text)).toThrow(part);
  });
});
