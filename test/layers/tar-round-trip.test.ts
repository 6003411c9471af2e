/** The tar codec against itself and against other people's tars. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { type LayerEntry, readTar, type TarMember, writeTar } from '../../lib/layers/index.js';
import { requireTools } from '../host-tools.js';
import { bytesOf, collect, device, directory, file, hardlink, readAll, symlink } from './members.js';
import { temporaryFolder } from './overlay-lab.js';

const folder = temporaryFolder();
afterAll(() => folder.remove());

/** Any name Linux allows: bytes but NUL and "/", not "." nor "..", also such as are not UTF-8. */
const component = fc
  .oneof(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }),
    fc.string({ unit: fc.constantFrom('a', 'b', 'é', '\udc80', '\udcff', '\n', '日'), minLength: 1, maxLength: 120 }),
  )
  .filter((name) => !/[/\0]/.test(name) && name !== '.' && name !== '..');
const path = fc.array(component, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'));
const id = fc.oneof(fc.nat(2_000_000), fc.nat(4_294_967_295));
const common = {
  path,
  mode: fc.nat(0o7777),
  uid: id,
  gid: id,
  mtimeSeconds: fc.integer({ min: -1_000_000_000, max: 20_000_000_000 }),
};
const xattrs = fc
  .dictionary(
    fc.constantFrom('security.capability', 'user.a', 'user.é'),
    fc.uint8Array({ minLength: 1, maxLength: 40 }),
  )
  .map((record) => (Object.keys(record).length === 0 ? {} : { xattrs: new Map(Object.entries(record)) }));

const member: fc.Arbitrary<{ readonly entry: LayerEntry; readonly content: Buffer }> = fc.oneof(
  fc.tuple(fc.record(common), fc.uint8Array({ maxLength: 2000 }), xattrs).map(([entry, content, more]) => ({
    entry: { ...entry, type: 'file' as const, sizeBytes: content.length, ...more },
    content: Buffer.from(content),
  })),
  fc.record({ ...common, type: fc.constantFrom('directory' as const, 'fifo' as const) }).map((entry) => ({
    entry: { ...entry, sizeBytes: 0 },
    content: Buffer.alloc(0),
  })),
  fc
    .record({ ...common, type: fc.constantFrom('symlink' as const, 'hardlink' as const), linkTarget: path })
    .map((entry) => ({
      entry: { ...entry, sizeBytes: 0 },
      content: Buffer.alloc(0),
    })),
  fc
    .record({
      ...common,
      type: fc.constantFrom('char' as const, 'block' as const),
      device: fc.record({ major: fc.nat(4095), minor: fc.nat(1_048_575) }),
    })
    .map((entry) => ({ entry: { ...entry, sizeBytes: 0 }, content: Buffer.alloc(0) })),
);

function toMembers(all: readonly { readonly entry: LayerEntry; readonly content: Buffer }[]): TarMember[] {
  return all.map(({ entry, content }) => ({ entry, body: bytesOf(content) }));
}

/** The same bytes, cut wherever the sizes say. */
async function* cut(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (let i = 0; at < bytes.length; i += 1) {
    const size = sizes[i % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

describe('writing and reading a tar', () => {
  test('gives the same entries and contents, however the bytes arrive', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(member, { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 5 }),
        async (all, sizes) => {
          const tar = await collect(writeTar(toMembers(all)));
          expect(tar.length % 512).toBe(0);
          expect(await readAll(readTar(cut(tar, sizes)))).toEqual(all);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('a body that is not read, or read in part, is passed over', async () => {
    const tar = await collect(writeTar([file('a', 'x'.repeat(5000)), file('b', 'y'.repeat(5000)), file('c', 'last')]));
    const seen: string[] = [];
    for await (const { entry, body } of readTar(cut(tar, [700]))) {
      seen.push(entry.path);
      if (entry.path === 'b') for await (const _ of body) break;
      if (entry.path === 'c') seen.push((await collect(body)).toString());
    }
    expect(seen).toEqual(['a', 'b', 'c', 'last']);
  });

  test('the place of every content is told', async () => {
    const tar = await collect(writeTar([file('a', 'first'), file('é'.repeat(80), 'second')]));
    for await (const { bodyOffset, entry, body } of readTar(bytesOf(tar))) {
      const content = await collect(body);
      expect(tar.subarray(bodyOffset, bodyOffset + entry.sizeBytes)).toEqual(content);
    }
  });

  test('leaving the loop lets go of the source', async () => {
    let released = false;
    const source = async function* (): AsyncGenerator<Uint8Array> {
      try {
        yield* writeTar([file('a', 'x'), file('b', 'y')]);
      } finally {
        released = true;
      }
    };
    for await (const _ of readTar(source())) break;
    expect(released).toBe(true);
  });

  test('a PAX header is written only where ustar cannot say it', async () => {
    const size = async (made: TarMember): Promise<number> => (await collect(writeTar([made]))).length - 1024;
    expect(await size(file('a'.repeat(100)))).toBe(512);
    expect(await size(file(`${'p'.repeat(155)}/${'n'.repeat(100)}`))).toBe(512);
    expect(await size(file('a', '', { uid: 0o7777777, mtimeSeconds: 8 ** 11 - 1 }))).toBe(512);
    expect(await size(file('a'.repeat(101)))).toBe(1536);
    expect(await size(file(`${'p'.repeat(156)}/n`))).toBe(1536);
    expect(await size(file('é'))).toBe(1536);
    expect(await size(file('a', '', { uid: 0o10000000 }))).toBe(1536);
    expect(await size(file('a', '', { mtimeSeconds: -1 }))).toBe(1536);
    expect(await size(symlink('l', 't'.repeat(101)))).toBe(1536);
  });

  test('a content shorter or longer than promised is an error, not a broken tar', async () => {
    const lying = (content: string): TarMember => ({
      ...file('f', content),
      entry: { ...file('f').entry, sizeBytes: 5 },
    });
    await expect(collect(writeTar([lying('1234')]))).rejects.toMatchObject({ code: 'TAR_BODY_SIZE' });
    await expect(collect(writeTar([lying('123456')]))).rejects.toMatchObject({ code: 'TAR_BODY_SIZE' });
  });

  test.each<[string, TarMember]>([
    ['an empty path', file('')],
    ['NUL in a name', file('a\0b')],
    ['NUL in a link target', symlink('a', 'b\0')],
    ['a negative owner', file('a', '', { uid: -1 })],
    ['a mode with a file type', file('a', '', { mode: 0o100644 })],
    ['a time with a fraction', file('a', '', { mtimeSeconds: 1.5 })],
    ['a folder with content', directory('a', { sizeBytes: 1 })],
    ['an attribute with "=" in its name', file('a', '', { xattrs: new Map([['user.a=b', Uint8Array.of(1)]]) })],
  ])('%s cannot be written', async (_name, made) => {
    await expect(collect(writeTar([made]))).rejects.toMatchObject({ code: 'TAR_UNWRITABLE' });
  });
});

const sample = (): TarMember[] => [
  directory('d', { mode: 0o1777, mtimeSeconds: 1_700_000_000 }),
  file('d/plain', 'content', { mode: 0o6755, uid: 1000, gid: 100, mtimeSeconds: 1_600_000_000 }),
  file(`d/${'long'.repeat(60)}`, 'x'.repeat(3000)),
  file('d/日本\udcff', 'foreign'),
  file('d/large-ids', '', { uid: 4_000_000_000, gid: 3_000_000 }),
  symlink('d/link', 'plain'),
  symlink('d/long-link', 't'.repeat(300)),
  hardlink('d/hard', 'd/plain', { mode: 0o6755, uid: 1000, gid: 100, mtimeSeconds: 1_600_000_000 }),
  device('d/null', 'char', 1, 3),
];

const host = requireTools('tar', 'python3');

host.describe('tars of others', () => {
  test('GNU tar and Python read ours', async () => {
    const path = join(folder.path, 'ours.tar');
    writeFileSync(path, await collect(writeTar(sample())));
    const listed = execFileSync('tar', ['-tf', path, '--quoting-style=escape'], {
      env: { ...process.env, LC_ALL: 'C' },
      encoding: 'utf8',
    })
      .trim()
      .split('\n');
    expect(listed).toHaveLength(sample().length);
    expect(listed).toContain('d/plain');
    expect(listed).toContain(String.raw`d/\346\227\245\346\234\254\377`);
    const script = `
import tarfile, sys, json
t = tarfile.open(sys.argv[1], 'r:')
print(json.dumps([[m.name, m.mode, m.uid, m.gid, m.mtime, m.size, m.linkname, m.type.decode()] for m in t]))`;
    const members = JSON.parse(execFileSync('python3', ['-c', script, path], { encoding: 'utf8' })) as unknown[];
    expect(members).toEqual(
      sample().map(({ entry }) => [
        entry.path,
        entry.mode,
        entry.uid,
        entry.gid,
        entry.mtimeSeconds,
        entry.sizeBytes,
        entry.linkTarget ?? '',
        { file: '0', hardlink: '1', symlink: '2', char: '3', block: '4', directory: '5', fifo: '6' }[entry.type],
      ]),
    );
  });

  test.each(['v7', 'ustar', 'gnu', 'oldgnu', 'posix'])('we read what GNU tar writes as %s', async (format) => {
    const path = join(folder.path, `tree-${format}`);
    const long = format === 'v7' || format === 'ustar' ? 'n'.repeat(90) : 'n'.repeat(200);
    execFileSync('sh', [
      '-euc',
      `mkdir -p "$0/d/sub"; cd "$0"; printf hello > d/a; printf x > "d/$1"; ln -s a d/l; ln d/a d/z; chmod 640 d/a; touch -d @1600000000.75 d/a`,
      path,
      long,
    ]);
    const tar = execFileSync('tar', ['-cf', '-', '--sort=name', `--format=${format}`, '-C', path, '.']);
    const members = await readAll(readTar(cut(tar, [513])));
    expect(members.map(({ entry }) => [entry.path, entry.type])).toEqual([
      ['d', 'directory'],
      ['d/a', 'file'],
      ['d/l', 'symlink'],
      [`d/${long}`, 'file'],
      ['d/sub', 'directory'],
      ['d/z', 'hardlink'],
    ]);
    expect(members[1]).toMatchObject({
      entry: { mode: 0o640, mtimeSeconds: 1_600_000_000 },
      content: Buffer.from('hello'),
    });
    expect(members[5]?.entry.linkTarget).toBe('d/a');
  });

  test('we read what Python writes, with large numbers in base 256 and in PAX records', async () => {
    const script = `
import tarfile, sys, io
for name, fmt in (('gnu', tarfile.GNU_FORMAT), ('pax', tarfile.PAX_FORMAT)):
    t = tarfile.open(sys.argv[1] + '/py-' + name + '.tar', 'w', format=fmt)
    i = tarfile.TarInfo('big/' + 'n' * 150); i.uid = 5000000; i.gid = 7; i.mtime = -3; i.size = 4; i.mode = 0o600
    t.addfile(i, io.BytesIO(b'body'))
    i = tarfile.TarInfo('l'); i.type = tarfile.SYMTYPE; i.linkname = 'é' * 90; i.mtime = 12.25
    t.addfile(i)
    t.close()`;
    execFileSync('python3', ['-c', script, folder.path]);
    for (const name of ['gnu', 'pax']) {
      const members = await readAll(readTar(bytesOf(readFileSync(join(folder.path, `py-${name}.tar`)))));
      expect(members).toMatchObject([
        {
          entry: { path: `big/${'n'.repeat(150)}`, uid: 5_000_000, gid: 7, mtimeSeconds: -3, mode: 0o600 },
          content: Buffer.from('body'),
        },
        { entry: { path: 'l', linkTarget: 'é'.repeat(90), mtimeSeconds: 12 } },
      ]);
    }
  });

  test('global PAX headers, as git archive writes them, apply to what follows', async () => {
    const script = `
import tarfile, sys, io
t = tarfile.open(sys.argv[1], 'w', format=tarfile.PAX_FORMAT, pax_headers={'comment': 'abc', 'mtime': '77'})
t.addfile(tarfile.TarInfo('a')); t.addfile(tarfile.TarInfo('b')); t.close()`;
    const path = join(folder.path, 'global.tar');
    execFileSync('python3', ['-c', script, path]);
    const members = await readAll(readTar(bytesOf(readFileSync(path))));
    expect(members.map(({ entry }) => [entry.path, entry.mtimeSeconds])).toEqual([
      ['a', 77],
      ['b', 77],
    ]);
  });
});
