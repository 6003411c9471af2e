/** Archives that are mean: as a context they are refused, and in a layer nothing reaches out of the root. */
import { describe, expect, test } from '@jest/globals';
import { compress, readContext, readTar, writeTar } from '../../lib/layers/index.js';
import { bytesOf, collect, device, directory, file, hardlink, readAll, symlink } from './members.js';
import { archive, block, entry, gnuLong, pax } from './raw-tar.js';
import { refusal } from './refusal.js';

const good = entry({ name: 'good' }, 'fine');
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

describe('unsafe build contexts', () => {
  test.each(UNSAFE)('%s', async (_name, bytes, code, message) => {
    const error = await refusal(readAll(readContext(bytesOf(bytes))));
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
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

  test('a device in a layer is an entry like others', async () => {
    const tar = await collect(writeTar([device('n', 'char', 1, 3)]));
    expect(await readAll(readTar(bytesOf(tar)))).toMatchObject([
      { entry: { type: 'char', device: { major: 1, minor: 3 } } },
    ]);
  });
});
