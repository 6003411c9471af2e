/** Archives that are wrong or mean, each made here: none gets through, each refusal says which entry and where. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { AppError } from '../../lib/errors/index.js';
import { CONTEXT_LIMITS, compress, readContext, readTar, type TarLimits, writeTar } from '../../lib/layers/index.js';
import { bytesOf, collect, device, directory, file, hardlink, readAll, symlink } from './members.js';
import { archive, block, END, entry, gnuLong, pax } from './raw-tar.js';

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

/** Refused as a context. */
const UNSAFE: readonly (readonly [string, Buffer, string, RegExp])[] = [
  ['nothing at all', Buffer.alloc(0), 'COMPRESSION_UNKNOWN', /neither a tar/],
  ['no end of the archive', good, 'TAR_INVALID', /without its two zero blocks/],
  [
    'half an end of the archive',
    Buffer.concat([good, Buffer.alloc(512)]),
    'TAR_INVALID',
    /without its two zero blocks/,
  ],
  [
    'a name with ".."',
    archive(good, entry({ name: '../evil' })),
    'TAR_UNSAFE_PATH',
    /"\.\.\/evil" at byte 1024: its name has a "\.\." component/,
  ],
  ['".." in the middle', archive(entry({ name: 'a/../../evil' })), 'TAR_UNSAFE_PATH', /component/],
  ['".." that stays inside', archive(entry({ name: 'a/../b' })), 'TAR_UNSAFE_PATH', /component/],
  ['an absolute name', archive(entry({ name: '/etc/passwd' })), 'TAR_UNSAFE_PATH', /absolute/],
  ['an empty name', archive(entry({ name: '' })), 'TAR_UNSAFE_PATH', /empty/],
  ['a climbing PAX path over a clean name', archive(pax({ path: '../evil' }), good), 'TAR_UNSAFE_PATH', /"\.\.\/evil"/],
  ['an absolute GNU long name', archive(gnuLong('L', '/evil'), good), 'TAR_UNSAFE_PATH', /absolute/],
  ['".." in the ustar prefix', archive(entry({ name: 'evil', prefix: '../..' })), 'TAR_UNSAFE_PATH', /component/],
  [
    'an entry through a link',
    archive(entry({ name: 'l', type: '2', link: 'd' }), entry({ name: 'l/x' })),
    'TAR_UNSAFE_PATH',
    /"l\/x" .*lies in "l", which is a symlink/,
  ],
  ['an entry through a file', archive(good, entry({ name: 'good/x' })), 'TAR_UNSAFE_PATH', /which is a file/],
  [
    'a link that takes the place of a folder',
    archive(entry({ name: 'd/x' }), entry({ name: 'd', type: '2', link: 'y' })),
    'TAR_UNSAFE_ENTRY',
    /entries before it lie in it/,
  ],
  [
    'an absolute hard link',
    archive(entry({ name: 'h', type: '1', link: '/etc/shadow' })),
    'TAR_UNSAFE_PATH',
    /link target is absolute/,
  ],
  [
    'a climbing hard link',
    archive(entry({ name: 'h', type: '1', link: '../../etc/shadow' })),
    'TAR_UNSAFE_PATH',
    /link target has a/,
  ],
  [
    'a hard link to nothing',
    archive(entry({ name: 'h', type: '1', link: 'none' })),
    'TAR_UNSAFE_ENTRY',
    /no entry before it/,
  ],
  [
    'a hard link through a link',
    archive(entry({ name: 'l', type: '2', link: 'd' }), entry({ name: 'h', type: '1', link: 'l/x' })),
    'TAR_UNSAFE_ENTRY',
    /no entry before it/,
  ],
  [
    'a hard link to a link',
    archive(entry({ name: 'l', type: '2', link: 'd' }), entry({ name: 'h', type: '1', link: 'l' })),
    'TAR_UNSAFE_ENTRY',
    /a symlink/,
  ],
  [
    'a hard link to itself',
    archive(entry({ name: 'h', type: '1', link: 'h' })),
    'TAR_UNSAFE_ENTRY',
    /no entry before it/,
  ],
  ['a character device', archive(entry({ name: 'n', type: '3' })), 'TAR_UNSAFE_ENTRY', /a device/],
  ['a block device', archive(entry({ name: 'n', type: '4' })), 'TAR_UNSAFE_ENTRY', /a device/],
  ['a fifo', archive(entry({ name: 'n', type: '6' })), 'TAR_UNSAFE_ENTRY', /a fifo/],
  ['a whiteout', archive(entry({ name: 'd/.wh.passwd' })), 'TAR_UNSAFE_ENTRY', /marks of layers/],
  ['a folder named as a whiteout', archive(entry({ name: '.wh.d/x' })), 'TAR_UNSAFE_ENTRY', /marks of layers/],
  ['an opaque marker', archive(entry({ name: '.wh..wh..opq' })), 'TAR_UNSAFE_ENTRY', /marks of layers/],
  ['the same name twice', archive(good, good), 'TAR_UNSAFE_ENTRY', /twice/],
  ['the same name in two spellings', archive(good, entry({ name: './good' })), 'TAR_UNSAFE_ENTRY', /twice/],
  ['a newline in a name', archive(entry({ name: 'a\nb' })), 'TAR_UNSAFE_PATH', /"a\\nb" .*control character/],
  ['an escape sequence in a name', archive(entry({ name: '\u001b[31mred' })), 'TAR_UNSAFE_PATH', /control character/],
  [
    'a control character in a link target',
    archive(entry({ name: 'l', type: '2', link: 'a\rb' })),
    'TAR_UNSAFE_PATH',
    /link target has a control/,
  ],
  [
    'a component of 300 bytes',
    archive(gnuLong('L', 'n'.repeat(300)), good),
    'TAR_UNSAFE_PATH',
    /longer than 255 bytes/,
  ],
  [
    'a size of one terabyte',
    archive(block({ name: 'x', size: Uint8Array.of(0x80, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0) })),
    'TAR_TOO_LARGE',
    /more than/,
  ],
];

async function refusal(work: Promise<unknown>): Promise<AppError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof AppError) return error;
  throw new Error('it was not refused by an AppError', { cause: error });
}

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

describe('unsafe build contexts', () => {
  test.each(UNSAFE)('%s', async (_name, bytes, code, message) => {
    const error = await refusal(readAll(readContext(bytesOf(bytes))));
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
  });

  test('the corpus is as large as promised', () => {
    expect(MALFORMED.length + UNSAFE.length).toBeGreaterThanOrEqual(70);
  });

  test('nothing behind a refused entry is handed over', async () => {
    const seen: string[] = [];
    const reading = async (): Promise<void> => {
      for await (const { entry: read } of readContext(
        bytesOf(archive(good, entry({ name: '../x' }), entry({ name: 'later' }))),
      )) {
        seen.push(read.path);
      }
    };
    await expect(reading()).rejects.toMatchObject({ details: { entry: '../x', offset: 1024 } });
    expect(seen).toEqual(['good']);
  });

  test('an ordinary context passes, plain and compressed, with links inside it', async () => {
    const members = () => [
      directory('src'),
      file('src/été.txt', 'x'),
      file('bin/run', '#!/bin/sh', { mode: 0o4755 }),
      symlink('src/up', '../bin/run'),
      symlink('here', '.'),
      hardlink('bin/same', 'bin/run'),
    ];
    const tar = await collect(writeTar(members()));
    const paths = members().map(({ entry: made }) => made.path);
    expect((await readAll(readContext(bytesOf(tar)))).map(({ entry: read }) => read.path)).toEqual(paths);
    const gzipped = compress('gzip')(bytesOf(tar));
    expect((await readAll(readContext(gzipped))).map(({ entry: read }) => read.path)).toEqual(paths);
  });

  test.each(['/usr/bin/x', '../../etc/shadow', 'a/../../b', '..'])('a symbolic link to %s is data', async (target) => {
    const tar = archive(entry({ name: 'l', type: '2', link: target }));
    const [link] = await readAll(readContext(bytesOf(tar)));
    expect(link?.entry.linkTarget).toBe(target);
  });
});

describe('layers re-root what climbs, as docker does', () => {
  test.each([
    ['/etc/passwd', 'etc/passwd'],
    ['../../etc/passwd', 'etc/passwd'],
    ['a/../../b', 'b'],
    ['./a//b/./c/', 'a/b/c'],
  ])('%s is %s', async (name, path) => {
    const type = name.endsWith('/') ? '5' : '0';
    const [read] = await readAll(readTar(bytesOf(archive(entry({ name, type })))));
    expect(read?.entry.path).toBe(path);
  });

  test('the entry of the root itself is left out', async () => {
    const bytes = archive(entry({ name: './', type: '5' }), entry({ name: '/', type: '5' }), good);
    expect((await readAll(readTar(bytesOf(bytes)))).map(({ entry: read }) => read.path)).toEqual(['good']);
  });

  test('names that are not UTF-8 survive', async () => {
    const [read] = await readAll(readTar(bytesOf(archive(entry({ name: Uint8Array.of(0x61, 0xff, 0xc3, 0xa9) })))));
    expect(read?.entry.path).toBe('a\udcffé');
  });
});

describe('limits', () => {
  const many = (): Promise<Buffer> =>
    collect(writeTar(Array.from({ length: 20 }, (_, i) => file(`d/d/f${i}`, 'x'.repeat(600)))));

  test.each<[Partial<TarLimits>, RegExp]>([
    [{ entries: 19 }, /"d\/d\/f19" at byte 29184: there are more than 19 entries/],
    [{ pathBytes: 5 }, /the name has 6 bytes; at most 5/],
    [{ depth: 2 }, /3 components; at most 2/],
    [{ totalBytes: 10_000 }, /more than 10000 bytes/],
  ])('%j', async (limits, message) => {
    const tar = await many();
    for (const reading of [readTar(bytesOf(tar), { limits }), readContext(bytesOf(tar), { limits })]) {
      const error = await refusal(readAll(reading));
      expect([error.code, error.kind, error.message]).toEqual([
        'TAR_TOO_LARGE',
        'too-large',
        expect.stringMatching(message),
      ]);
    }
  });

  test('just inside every limit passes', async () => {
    const limits = { entries: 20, pathBytes: 7, depth: 3, totalBytes: 20 * 1536 + 1024 };
    expect(await readAll(readContext(bytesOf(await many()), { limits }))).toHaveLength(20);
  });

  test('what is padded behind the end counts too', async () => {
    const bytes = Buffer.concat([archive(good), Buffer.alloc(50_000)]);
    expect(await readAll(readTar(bytesOf(bytes)))).toHaveLength(1);
    const error = await refusal(readAll(readTar(bytesOf(bytes), { limits: { totalBytes: 20_000 } })));
    expect(error.code).toBe('TAR_TOO_LARGE');
  });

  describe('a bomb', () => {
    let bomb: Buffer;
    beforeAll(async () => {
      const zeros = async function* (): AsyncGenerator<Uint8Array> {
        for (let i = 0; i < 200; i += 1) yield Buffer.alloc(1024 * 1024);
      };
      const member = { entry: { ...file('zeros').entry, sizeBytes: 200 * 1024 * 1024 }, body: zeros() };
      bomb = await collect(compress('gzip', 1)(writeTar([member])));
    });
    afterAll(() => {
      bomb = Buffer.alloc(0);
    });

    test('is refused by its ratio after a few megabytes, not after all of it', async () => {
      let read = 0;
      const reading = async (): Promise<void> => {
        for await (const { body } of readContext(bytesOf(bomb))) for await (const chunk of body) read += chunk.length;
      };
      expect((await refusal(reading())).code).toBe('COMPRESSION_BOMB');
      expect(read).toBeLessThan(CONTEXT_LIMITS.totalBytes / 100);
      expect(read).toBeLessThan(20 * 1024 * 1024);
    });
  });

  test('a device in a layer is an entry like others', async () => {
    const tar = await collect(writeTar([device('n', 'char', 1, 3)]));
    expect(await readAll(readTar(bytesOf(tar)))).toMatchObject([
      { entry: { type: 'char', device: { major: 1, minor: 3 } } },
    ]);
  });
});
