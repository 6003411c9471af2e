/**
 * An upper folder kept as the unpacked folder of its layer: what stands in it afterwards is, name by name, what unpacking that
 * layer gives, or it is not kept.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { copyEntry, layerName, UnpackedLayers, UpperAsLayer } from '../../lib/layers/index.js';
import { requireTools } from '../host-tools.js';
import { directory, file, hardlink, type KnownLayer, symlink } from './members.js';
import { OverlayLab, snapshot } from './overlay-lab.js';

const at = { mtimeSeconds: 1_700_000_000 };
/** user::rw- user:5:rw- group::r-- mask::rw- other::r-- */
const ACL = '0200000001000600ffffffff020006000500000004000400ffffffff10000600ffffffff20000400ffffffff';
const host = requireTools('root', 'tar', 'mount', 'umount', 'python3');

host.describe('an upper folder as an unpacked layer', () => {
  let lab: OverlayLab;
  let lower: KnownLayer;
  beforeAll(async () => {
    lab = await OverlayLab.open();
    lower = await lab.layer([
      directory('d', { ...at, mode: 0o750, uid: 10, gid: 20 }),
      file('d/a', 'content of a', at),
      file('d/b', 'content of b', at),
      directory('d/sub', at),
      file('d/sub/deep', 'deep', at),
      directory('links', at),
      file('links/one', 'linked', at),
      hardlink('links/two', 'links/one'),
      symlink('sym', 'd', at),
      directory('tmp', { ...at, mode: 0o1777 }),
    ]);
  });
  afterEach(() => lab.unmountAll());
  afterAll(() => lab.close());

  interface Kept {
    readonly layer: KnownLayer;
    readonly folder: string;
    /** Undefined when it cannot be kept. */
    readonly sizeBytes: number | undefined;
  }

  async function kept(script: string, clamp?: number): Promise<Kept> {
    const { root, upper } = await lab.mount([lower]);
    lab.run(root, script);
    const written = new UpperAsLayer();
    const options = clamp === undefined ? {} : { mtimeClamp: clamp };
    const layer = await lab.changes(upper, lab.tree([lower]), options, written);
    lab.unmountAll();
    return { layer, folder: upper, sizeBytes: await written.settle(upper) };
  }

  async function unpacked(layer: KnownLayer): Promise<string> {
    const elsewhere = await UnpackedLayers.open(lab.store, lab.folder('elsewhere'));
    return join(elsewhere.directory, await elsewhere.ensure(layer));
  }

  test.each<[string, string]>([
    ['nothing', 'true'],
    ['new files and folders', 'echo 1 > new; mkdir -p d/x/y tmp/z; echo 2 > d/x/y/f; chmod 700 d/x; chown 5:6 tmp/z'],
    ['deleted files and folders', 'rm d/a; rm -r d/sub links'],
    ['changed ones', 'echo more >> d/a; chmod 600 d/b; chown 7:8 d; ln -sfn tmp sym; touch d/sub/deep'],
    [
      'what came and went, and folders touched on the way',
      'echo > tmp/t; rm tmp/t; touch d; mkdir d/sub/q; rmdir d/sub/q',
    ],
    ['hard links, devices, fifos', 'echo 1 > z; ln z a; ln z d/m; mknod tmp/n c 1 3; mkfifo tmp/f; ln -s gone tmp/l'],
    ['times before 1970, old and to come', 'touch -d @-5.5 tmp/x; touch -d @7 d/a; touch -d @4000000000.25 tmp/y'],
    ['a folder that became a file, or a link', 'rm -r d/sub links; echo 1 > d/sub; ln -s d links'],
    ['names that are not UTF-8', String.raw`printf 1 > "$(printf 'tmp/\377\001')"; printf 2 > tmp/é`],
    ['one name of a linked file', 'echo more >> links/one'],
    ['files copied up and otherwise as before', 'echo 1 > new; chmod 600 d/b links/one; chmod 644 d/b links/one'],
    ['a socket', `echo 1 > new; python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('tmp/s')"`],
    ['the root of other rights', 'echo 1 > new; chmod 700 .; chown 3:4 .'],
  ])('%s: as unpacking the layer gives it', async (_name, script) => {
    const { layer, folder, sizeBytes } = await kept(script);
    const expected = await unpacked(layer);
    expect(sizeBytes).toBeDefined();
    expect(whole(folder)).toEqual(whole(expected));
  });

  test.each<[string, string]>([
    [
      'a name of a linked file that is as it was, in a folder made anew',
      'cp -a links k; rm -r links; cp -a k links; rm -r k',
    ],
    ['a folder made anew', 'rm -r d/sub; mkdir d/sub; echo 1 > d/sub/new'],
    ['a folder in the place of a file', 'rm d/a; mkdir d/a; echo 1 > d/a/in'],
    [
      'a list of rights',
      `echo 1 > new; python3 -c "import os; os.setxattr('new', 'system.posix_acl_access', bytes.fromhex('${ACL}'))"`,
    ],
    ['an attribute that no layer has', `echo 1 > new; python3 -c "import os; os.setxattr('new', 'user.note', b'x')"`],
    ['a file that is called like a whiteout', 'echo 1 > d/.wh.b'],
    ['a folder that is called like a whiteout', 'mkdir d/.wh.b; echo 1 > d/.wh.b/in'],
  ])('is not kept with %s', async (_name, script) => {
    expect((await kept(script)).sizeBytes).toBeUndefined();
  });

  test('times are those of the layer, whatever was done to them on the way', async () => {
    const { root, upper } = await lab.mount([lower]);
    lab.run(root, 'echo 1 > tmp/f; ln tmp/f tmp/g; touch -d @1800000000 d/a');
    const written = new UpperAsLayer();
    const layer = await lab.changes(upper, lab.tree([lower]), { mtimeClamp: 1_750_000_000 }, written, (entry) =>
      copyEntry(entry, { mtimeSeconds: Math.min(entry.mtimeSeconds, 1_600_000_000) }),
    );
    lab.unmountAll();
    expect(await written.settle(upper)).toBe(14);
    expect(whole(upper)).toEqual(whole(await unpacked(layer)));
    expect(whole(upper)['tmp/g']).toMatchObject({ mtime: 1_600_000_000 });
  });

  test('with less than the layer holds it is not kept', async () => {
    const { root, upper } = await lab.mount([lower]);
    lab.run(root, 'echo 1 > tmp/f; echo 2 > tmp/g');
    const written = new UpperAsLayer();
    await lab.changes(upper, lab.tree([lower]), {}, written);
    lab.unmountAll();
    renameSync(join(upper, 'tmp/f'), join(lab.folder('away'), 'f'));
    expect(await written.settle(upper)).toBeUndefined();
  });

  test('the layer is there then, and is mounted, listed and removed like any other', async () => {
    const { layer, folder, sizeBytes } = await kept('echo 1 > new; rm d/a');
    await lab.unpacked.adopt(layer.diffId, folder, sizeBytes ?? 0);
    expect(existsSync(folder)).toBe(false);
    expect((await lab.unpacked.sizes()).get(layer.diffId)).toBe(2);
    const { root } = await lab.mount([lower, layer]);
    expect(existsSync(join(root, 'new'))).toBe(true);
    expect(existsSync(join(root, 'd/a'))).toBe(false);
    lab.unmountAll();
    await lab.unpacked.remove(layer.diffId);
    expect(existsSync(join(lab.unpacked.directory, layerName(layer.diffId)))).toBe(false);
    expect(readdirSync(join(lab.unpacked.directory, '.tmp'))).toEqual([]);
  });

  test('where the layer is unpacked already, the folder is not taken', async () => {
    const { layer, folder, sizeBytes } = await kept('echo 1 > new');
    const name = await lab.unpacked.ensure(layer);
    await lab.unpacked.adopt(layer.diffId, folder, sizeBytes ?? 0);
    expect(existsSync(join(folder, 'new'))).toBe(true);
    expect(existsSync(join(lab.unpacked.directory, name, 'new'))).toBe(true);
    expect(readdirSync(join(lab.unpacked.directory, '.tmp'))).toEqual([]);
  });
});

/** What shows in a container, the times of folders with it. Whiteouts show nothing; overlayfs makes them names of one file. */
function whole(folder: string): Record<string, unknown> {
  const { '/links': links, ...shown } = snapshot(folder);
  const isWhiteout = (name: string): boolean => JSON.stringify(shown[name]).includes('"rdev":0');
  const entries = Object.keys(shown).map((name) => [name, isWhiteout(name) ? 'whiteout' : shown[name]]);
  const named = (links as string[][]).filter((names) => !names.some(isWhiteout));
  const root = execFileSync('stat', ['-c', '%a %u %g', folder], { encoding: 'utf8' });
  return { ...Object.fromEntries(entries), '/links': named, '/folders': foldersOf(folder), '/root': root };
}

function foldersOf(folder: string): string[] {
  const output = execFileSync('find', [folder, '-mindepth', '1', '-type', 'd', '-printf', '%T@ %P\\0']);
  const lines = output.toString('latin1').split('\0').slice(0, -1);
  return lines.map((line) => line.replace(/\.\d+/, '')).sort();
}
