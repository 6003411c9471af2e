/** Archives that are wrong: none gets through, each refusal says which entry and where. */
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { AppError } from '../../lib/errors/index.js';
import { readContext, readTar, writeTar } from '../../lib/layers/index.js';
import { bytesOf, collect, directory, file, hardlink, readAll, symlink } from './members.js';
import { archive, block, END, entry, gnuLong, pax } from './raw-tar.js';
import { refusal } from './refusal.js';

const base256 = (...bytes: number[]): Uint8Array =>
  Uint8Array.from([...Array.from({ length: 12 - bytes.length }, () => 0), ...bytes]);
const good = entry({ name: 'good' }, 'fine');
const bigRecord = (key: string): string => {
  const value = 'v'.repeat(200_000);
  return `${200_000 + key.length + 9} ${key}=${value}\n`;
};

/** Refused by both readers, as layer and as context. */
const MALFORMED: readonly (readonly [string, Buffer, string, RegExp])[] = [
  ['random bytes', Buffer.alloc(2048, 0x5a), 'TAR_INVALID', /checksum/],
  ['a wrong checksum', archive(block({ name: 'x', checksum: '000001\0 ' })), 'TAR_INVALID', /checksum/],
  ['a checksum that is no number', archive(block({ name: 'x', checksum: 'abcdefgh' })), 'TAR_INVALID', /checksum/],
  [
    'a header cut short',
    Buffer.concat([good, block({ name: 'x' }).subarray(0, 300)]),
    'TAR_INVALID',
    /ends inside a header/,
  ],
  ['a content cut short', entry({ name: 'x', size: 5000 }, 'short'), 'TAR_INVALID', /"x" at byte 0: .*5000 bytes/],
  ['a padding cut short', entry({ name: 'x' }, 'abc').subarray(0, 600), 'TAR_INVALID', /ends inside/],
  [
    'a size that is no number',
    archive(block({ name: 'x', size: 'zzzzzzzzzzz\0' })),
    'TAR_INVALID',
    /size is not a number/,
  ],
  [
    'a negative size',
    archive(block({ name: 'x', size: Uint8Array.from(Array(12).fill(0xff)) })),
    'TAR_INVALID',
    /size is negative/,
  ],
  [
    'a size beyond counting',
    archive(block({ name: 'x', size: Uint8Array.from([0x80, 0xff, ...base256().subarray(2)]) })),
    'TAR_INVALID',
    /size is not a number/,
  ],
  [
    'a negative owner',
    archive(block({ name: 'x', uid: Uint8Array.from(Array(8).fill(0xff)) })),
    'TAR_INVALID',
    /uid is negative/,
  ],
  ['a time that is no number', archive(block({ name: 'x', mtime: '9999999999x\0' })), 'TAR_INVALID', /mtime/],
  [
    'a single zero block between entries',
    Buffer.concat([good, Buffer.alloc(512), good, END]),
    'TAR_INVALID',
    /single zero block/,
  ],
  ['a PAX header at the end', archive(pax({ path: 'x' })), 'TAR_INVALID', /followed by no entry/],
  ['a PAX record longer than its header', archive(pax('99 path=x\n'), good), 'TAR_INVALID', /runs over the end/],
  ['a PAX record shorter than its key', archive(pax('3 path=x\n'), good), 'TAR_INVALID', /PAX record/],
  ['a PAX record without newline', archive(pax('9 path=xy'), good), 'TAR_INVALID', /newline/],
  ['a PAX record without a length', archive(pax('path=x\n'), good), 'TAR_INVALID', /without a length/],
  ['a PAX record without "="', archive(pax('8 pathx\n'), good), 'TAR_INVALID', /without a key/],
  ['a PAX size that is no number', archive(pax({ size: '-5' }), good), 'TAR_INVALID', /PAX size is "-5"/],
  ['a PAX size that lies', archive(pax({ size: '100000' }), good), 'TAR_INVALID', /100000 bytes/],
  ['a PAX size as a fraction', archive(pax({ size: '1e3' }), good), 'TAR_INVALID', /PAX size/],
  ['a PAX owner that is no number', archive(pax({ uid: 'root' }), good), 'TAR_INVALID', /PAX uid/],
  ['a PAX time that is no number', archive(pax({ mtime: 'now' }), good), 'TAR_INVALID', /PAX mtime/],
  ['a global path', archive(pax({ path: 'all' }, 'g'), good), 'TAR_INVALID', /global header sets path/],
  ['a global size', archive(pax({ size: '0' }, 'g'), good), 'TAR_INVALID', /global header sets size/],
  ['NUL in a PAX path', archive(pax({ path: 'a\0b' }), good), 'TAR_UNSAFE_PATH', /NUL in its name/],
  [
    'NUL in a PAX link',
    archive(pax({ linkpath: 'a\0b' }), entry({ name: 'l', type: '2', link: 'x' })),
    'TAR_UNSAFE_PATH',
    /NUL in its link target/,
  ],
  [
    'a PAX header cut short',
    pax({ path: 'x'.repeat(900) }).subarray(0, 700),
    'TAR_INVALID',
    /inside an extended header/,
  ],
  ['a GNU name cut short', gnuLong('L', 'n'.repeat(900)).subarray(0, 700), 'TAR_INVALID', /inside an extended header/],
  [
    'a huge extended header',
    archive(block({ type: 'x', size: 2 ** 30 })),
    'TAR_TOO_LARGE',
    /extended header of 1073741824 bytes/,
  ],
  ['a huge GNU name', archive(block({ type: 'L', size: 2 ** 30 })), 'TAR_TOO_LARGE', /extended header/],
  [
    'many extended headers before one entry',
    archive(...'abcdef'.split('').map((key) => pax(bigRecord(key))), good),
    'TAR_TOO_LARGE',
    /all before one entry together/,
  ],
  [
    'many global headers',
    archive(...'abcdef'.split('').flatMap((key) => [pax(bigRecord(key), 'g'), good])),
    'TAR_TOO_LARGE',
    /extended header/,
  ],
  ['an unknown type', archive(entry({ name: 'x', type: 'Z' })), 'TAR_UNSUPPORTED', /type flag "Z"/],
  ['a multi-volume part', archive(entry({ name: 'x', type: 'M' })), 'TAR_UNSUPPORTED', /type flag "M"/],
  ['a GNU sparse file', archive(entry({ name: 'x', type: 'S' })), 'TAR_UNSUPPORTED', /sparse/],
  ['a PAX sparse file', archive(pax({ 'GNU.sparse.major': '1' }), good), 'TAR_UNSUPPORTED', /sparse/],
  ['a link without target', archive(entry({ name: 'l', type: '2' })), 'TAR_INVALID', /without a target/],
  ['a hard link without target', archive(entry({ name: 'l', type: '1' })), 'TAR_INVALID', /without a target/],
  ['a file without a name', archive(entry({ name: '.' }, 'x')), 'TAR_INVALID', /a file without a name/],
  ['a name of 5,000 bytes', archive(gnuLong('L', 'n/'.repeat(2500)), good), 'TAR_TOO_LARGE', /name has 5000 bytes/],
  ['2,000 levels', archive(gnuLong('L', Array(2000).fill('d').join('/')), good), 'TAR_TOO_LARGE', /2000 components/],
];

describe('malformed archives', () => {
  test.each(MALFORMED)('%s', async (_name, bytes, code, message) => {
    const error = await refusal(readAll(readTar(bytesOf(bytes))));
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
    expect(error.message).toMatch(/at byte \d+/);
    expect(typeof error.details['offset']).toBe('number');
    const asContext = await refusal(readAll(readContext(bytesOf(bytes))));
    expect([code, 'COMPRESSION_UNKNOWN']).toContain(asContext.code);
  });

  test('an archive may end without its zero blocks when it is a layer, as Go reads it', async () => {
    expect(await readAll(readTar(bytesOf(good)))).toHaveLength(1);
    expect(await readAll(readTar(bytesOf()))).toEqual([]);
  });

  test('whatever bytes are changed, reading ends, and with an AppError if with any', async () => {
    const tar = await collect(
      writeTar([
        directory('d'),
        file('d/é', 'content', { uid: 3_000_000 }),
        symlink('l', 'x'.repeat(120)),
        hardlink('h', 'd/é'),
      ]),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(tar.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        fc.nat(tar.length),
        fc.boolean(),
        async (changes, length, strict) => {
          const bytes = Buffer.from(tar.subarray(0, Math.max(length, 512)));
          for (const [at, value] of changes) bytes[at % bytes.length] = value;
          const reading = strict ? readContext(bytesOf(bytes)) : readTar(bytesOf(bytes));
          const error: unknown = await readAll(reading).catch((reason: unknown) => reason);
          if (!Array.isArray(error)) expect(error).toBeInstanceOf(AppError);
        },
      ),
      { numRuns: 500 },
    );
  });
});
