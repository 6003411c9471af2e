import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import {
  ancestors,
  comparePaths,
  decodeName,
  encodeName,
  isOpaqueMarker,
  isWhiteout,
  normalisePath,
  whiteoutFor,
  whiteoutOf,
} from '../../lib/layers/index.js';

describe('names', () => {
  test('any bytes survive becoming a name and back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        expect(Buffer.compare(encodeName(decodeName(bytes)), bytes)).toBe(0);
      }),
      { numRuns: 1000 },
    );
  });

  test('a name also survives JSON, as in a stored index', () => {
    const name = decodeName(Uint8Array.of(0x61, 0xff, 0xc3, 0xa9, 0xed, 0xa0, 0x80));
    expect(JSON.parse(JSON.stringify(name))).toBe(name);
    expect(name).toBe('a\udcffé\udced\udca0\udc80');
  });

  test.each([
    ['a/b', 'a/b'],
    ['./a', 'a'],
    ['/a/b/', 'a/b'],
    ['a/../../b', 'b'],
    ['.', ''],
    ['..', ''],
    ['', ''],
    ['a//b/.', 'a/b'],
    ['.../..a/b..', '.../..a/b..'],
  ])('%j is normalised to %j', (name, path) => {
    expect(normalisePath(name)).toBe(path);
  });

  test('the folders above a path are listed from the top', () => {
    expect(ancestors('a/b/c')).toEqual(['a', 'a/b']);
    expect(ancestors('a')).toEqual([]);
  });

  test('the order is that of bytes, component by component', () => {
    const part = fc.string({
      unit: fc.constantFrom('a', 'b', '.', '!', 'é', '\uffee', '\u{1f600}', '\udc80', '߿', 'ࠀ'),
      minLength: 1,
      maxLength: 4,
    });
    const path = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
    const bytewise = (a: string, b: string): number => {
      const key = (name: string): Buffer => Buffer.from(encodeName(name).map((byte) => (byte === 0x2f ? 0 : byte)));
      return Math.sign(Buffer.compare(key(a), key(b)));
    };
    fc.assert(
      fc.property(path, path, (a, b) => {
        expect(Math.sign(comparePaths(a, b))).toBe(bytewise(a, b));
      }),
      { numRuns: 3000 },
    );
  });
});

describe('marks', () => {
  test.each([
    ['.wh.a', 'a'],
    ['d/.wh.a', 'd/a'],
    ['d/.wh..a', 'd/.a'],
    ['d/.wh..wh..opq', undefined],
    ['d/.wh..wh.plnk', undefined],
    ['d/.wh.', undefined],
    ['d/.wh..', undefined],
    ['d/.wh...', undefined],
    ['d/a', undefined],
    ['.wh.d/a', undefined],
  ])('%s hides %s', (path, hidden) => {
    expect(whiteoutOf(path)).toBe(hidden);
  });

  test('the mark of a path hides it', () => {
    expect(whiteoutFor('d/a')).toBe('d/.wh.a');
    expect(whiteoutOf(whiteoutFor('top'))).toBe('top');
    expect(isWhiteout('d/.wh..wh..opq')).toBe(true);
    expect(isOpaqueMarker('d/.wh..wh..opq')).toBe(true);
    expect(isOpaqueMarker('d/.wh.x')).toBe(false);
  });
});
