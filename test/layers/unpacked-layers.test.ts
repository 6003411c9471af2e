/** Layers as overlayfs lower folders: what the kernel shows of them is what the image tree says. */
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { layerName, type TarMember, UnpackedLayers } from '../../lib/layers/index.js';
import { requireTools } from '../host-tools.js';
import { device, directory, file, hardlink, type KnownLayer, symlink } from './members.js';
import { OverlayLab, snapshot } from './overlay-lab.js';

const host = requireTools('root', 'tar', 'mount', 'umount', 'python3');

host.describe('unpacked layers', () => {
  let lab: OverlayLab;
  beforeAll(async () => {
    lab = await OverlayLab.open();
  });
  afterEach(() => lab.unmountAll());
  afterAll(() => lab.close());

  async function merged(...members: TarMember[][]): Promise<Record<string, unknown>> {
    const layers: KnownLayer[] = [];
    for (const some of members) layers.push(await lab.layer(some));
    const { root } = await lab.mount(layers);
    const shown = snapshot(root);
    const tree = [...lab.tree(layers).walk()].map((entry) => entry.path);
    expect(
      Object.keys(shown)
        .filter((path) => path !== '/links')
        .sort(),
    ).toEqual([...tree].sort());
    return shown;
  }

  const leftovers = (): string[] => readdirSync(join(lab.unpacked.directory, '.tmp'));

  test('whiteouts and opaque markers do in overlayfs what they say, in any order', async () => {
    const shown = await merged(
      [directory('a'), file('a/x', '1'), directory('b'), file('b/old', '1'), directory('c'), file('c/old', '1')],
      [
        directory('a'),
        file('a/.wh.x'),
        directory('b'),
        file('b/new', '2'),
        file('b/.wh..wh..opq'),
        file('c/.wh..wh..opq'),
        directory('c', { mode: 0o711 }),
        file('c/new', '2'),
      ],
    );
    expect(Object.keys(shown)).toEqual(['a', 'b', 'b/new', 'c', 'c/new', '/links']);
    expect(shown['c']).toMatchObject({ mode: '0o40711' });
  });

  test.each([
    ['before', (entry: TarMember[]) => [file('.wh.d'), ...entry]],
    ['after', (entry: TarMember[]) => [...entry, file('.wh.d')]],
  ])('a folder whose own whiteout stands %s it shows nothing of the one below', async (_where, arrange) => {
    const upper = arrange([directory('d', { mode: 0o700 }), file('d/new', '2')]);
    const shown = await merged([directory('d'), file('d/old', '1')], upper);
    expect(Object.keys(shown)).toEqual(['d', 'd/new', '/links']);
    expect(shown['d']).toMatchObject({ mode: '0o40700' });
  });

  test('a whiteout in a folder that is itself whited out and made again', async () => {
    const shown = await merged(
      [directory('d'), file('d/old', '1')],
      [file('.wh.d'), file('d/sub/.wh.x'), file('d/y', '1')],
    );
    expect(Object.keys(shown)).toEqual(['d', 'd/sub', 'd/y', '/links']);
  });

  test('every kind of entry, mode, owner, time and capability is there', async () => {
    const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex');
    const shown = await merged([
      directory('d', { mode: 0o1777, uid: 3_000_000, gid: 4 }),
      file('d/su', 'x', { mode: 0o6755, uid: 1, gid: 2, mtimeSeconds: 86_400 }),
      file('d/cap', 'x', { xattrs: new Map([['security.capability', capability]]) }),
      symlink('d/l', '/absolute/../target'),
      hardlink('d/h', 'd/su'),
      hardlink('d/hl', 'd/l'),
      device('d/null', 'char', 1, 3),
      device('d/disk', 'block', 8, 300),
      { ...file('d/f'), entry: { ...file('d/f').entry, type: 'fifo' } },
      file('implied/parents/x', '1'),
      file('twice', 'first'),
      file('twice', 'second, longer', { mode: 0o600 }),
      symlink('changes', 'd/su'),
      file('changes', 'no longer a link'),
      symlink('becomes', 'd'),
      directory('becomes'),
      file(`long/${'n'.repeat(150)}/${'m'.repeat(150)}`, 'x'),
      file('bytes\udcff', 'x'),
    ]);
    expect(shown).toMatchObject({
      d: { mode: '0o41777', uid: 3_000_000, gid: 4 },
      'd/su': { mode: '0o106755', uid: 1, gid: 2, mtime: 86_400 },
      'd/cap': { caps: capability.toString('hex') },
      'd/l': { target: '/absolute/../target' },
      'd/null': { mode: '0o20600', rdev: 0x103 },
      'implied/parents': { mode: '0o40755', uid: 0 },
      twice: { mode: '0o100600' },
      changes: { mode: '0o100644' },
      becomes: { mode: '0o40755' },
      '/links': [
        ['d/h', 'd/su'],
        ['d/hl', 'd/l'],
      ],
    });
    expect(shown['bytes\udcff']).toBeDefined();
  });

  test('an image cannot set what steers overlayfs', async () => {
    const shown = await merged(
      [directory('d'), file('d/old', '1')],
      [directory('d', { xattrs: new Map([['trusted.overlay.opaque', Buffer.from('y')]]) })],
    );
    expect(Object.keys(shown)).toContain('d/old');
  });

  test('a layer that does not unpack to its diff id is refused and leaves nothing', async () => {
    const a = await lab.layer([file('a', 'aaa')]);
    const b = await lab.layer([file('b', 'bbb')]);
    await expect(lab.unpacked.ensure({ descriptor: a.descriptor, diffId: b.diffId })).rejects.toMatchObject({
      code: 'LAYER_CORRUPT',
    });
    expect(existsSync(join(lab.unpacked.directory, layerName(b.diffId)))).toBe(false);
    expect(leftovers()).toEqual([]);
  });

  test.each<[string, TarMember[], string]>([
    ['a link of the layer', [symlink('l', '/tmp'), file('l/evil', 'x')], 'LAYER_UNSAFE'],
    ['a relative link that climbs', [symlink('l', '../../..'), directory('l/sub')], 'LAYER_UNSAFE'],
    ['a file of the layer', [file('f', 'x'), file('f/evil', 'x')], 'LAYER_UNSAFE'],
    ['a link above its parents', [symlink('l', '/tmp'), file('l/deep/er/evil', 'x')], 'LAYER_UNSAFE'],
    ['a whiteout through a link', [symlink('l', '/tmp'), file('l/.wh.passwd')], 'LAYER_UNSAFE'],
    ['an opaque marker through a link', [symlink('l', '/tmp'), file('l/.wh..wh..opq')], 'LAYER_UNSAFE'],
    ['a hard link to nothing', [hardlink('h', 'etc/shadow')], 'LAYER_LINK_BROKEN'],
    ['a hard link through a link', [symlink('l', '/etc'), hardlink('h', 'l/shadow')], 'LAYER_LINK_BROKEN'],
    ['a hard link to a folder', [directory('d'), hardlink('h', 'd')], 'LAYER_LINK_BROKEN'],
    ['a hard link to itself', [file('h'), hardlink('h', 'h')], 'LAYER_LINK_BROKEN'],
    ['a folder that becomes a file', [directory('d'), file('d')], 'LAYER_UNSUPPORTED'],
    ['a marker at the root', [file('.wh..wh..opq')], 'LAYER_UNSUPPORTED'],
  ])('%s is refused with the entry and leaves nothing', async (_name, members, code) => {
    const layer = await lab.layer(members);
    await expect(lab.unpacked.ensure(layer)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(/entry ".+" at byte \d+/),
    });
    expect(leftovers()).toEqual([]);
  });

  test('names that climb are re-rooted, and nothing lands outside', async () => {
    const outside = join(lab.store.directory, 'outside');
    const climbing = '../'.repeat(30) + outside.slice(1);
    const layer = await lab.layer([file(climbing, 'x'), file('..', 'x')].slice(0, 1));
    const name = await lab.unpacked.ensure(layer);
    expect(existsSync(outside)).toBe(false);
    expect(readFileSync(join(lab.unpacked.directory, name, outside), 'utf8')).toBe('x');
  });

  test('a link whose file is replaced later does not write through', async () => {
    const target = join(lab.store.directory, 'victim');
    writeFileSync(target, 'untouched');
    const name = await lab.unpacked.ensure(await lab.layer([symlink('l', target), file('l', 'new')]));
    expect(readFileSync(target, 'utf8')).toBe('untouched');
    expect(lstatSync(join(lab.unpacked.directory, name, 'l')).isFile()).toBe(true);
  });

  test('a link whose folder is replaced later does not let entries through', async () => {
    const target = lab.folder('victims');
    const layer = await lab.layer([symlink('l', target), directory('l', { mode: 0o700 }), file('l/x', 'new')]);
    const name = await lab.unpacked.ensure(layer);
    expect(readdirSync(target)).toEqual([]);
    expect(lstatSync(target).mode & 0o777).toBe(0o755);
    expect(readFileSync(join(lab.unpacked.directory, name, 'l/x'), 'utf8')).toBe('new');
  });

  test('a layer is unpacked once for all who ask at once, in this process and in others', async () => {
    const layer = await lab.layer(Array.from({ length: 50 }, (_, i) => file(`f${i}`, `${i}`)));
    const base = join(lab.store.directory, 'unpacked');
    const others = await Promise.all([1, 2, 3].map(() => UnpackedLayers.open(lab.store, base)));
    const names = await Promise.all([lab.unpacked, lab.unpacked, ...others].map((layers) => layers.ensure(layer)));
    expect(new Set(names)).toEqual(new Set([layerName(layer.diffId)]));
    expect(readdirSync(join(lab.unpacked.directory, layerName(layer.diffId)))).toHaveLength(50);
    expect(leftovers()).toEqual([]);
  });

  test('layers are listed with their sizes and removed', async () => {
    const layer = await lab.layer([file('listed', 'x'.repeat(1234))]);
    await lab.unpacked.ensure(layer);
    expect((await lab.unpacked.sizes()).get(layer.diffId)).toBe(1234);
    await lab.unpacked.remove(layer.diffId);
    await lab.unpacked.remove(layer.diffId);
    expect((await lab.unpacked.list()).map((one) => one.diffId)).not.toContain(layer.diffId);
    expect(existsSync(join(lab.unpacked.directory, layerName(layer.diffId)))).toBe(false);
    await lab.unpacked.ensure(layer);
    expect((await lab.unpacked.sizes()).has(layer.diffId)).toBe(true);
  });

  test('a layer is evicted only when nobody asked for it lately, and one asked for meanwhile is whole', async () => {
    const layer = await lab.layer([file('evicted', 'x')]);
    const name = await lab.unpacked.ensure(layer);
    const usedMs = (await lab.unpacked.list()).find(({ diffId }) => diffId === layer.diffId)?.usedMs ?? 0;
    expect(await lab.unpacked.evict(layer.diffId, usedMs)).toBe(false);
    const path = join(lab.unpacked.directory, name, 'evicted');
    expect(existsSync(path)).toBe(true);
    const [evicted] = await Promise.all([lab.unpacked.evict(layer.diffId, usedMs + 1), lab.unpacked.ensure(layer)]);
    expect(evicted).toBe(true);
    expect(existsSync(path)).toBe(true);
    expect(await lab.unpacked.evict(layer.diffId, Infinity)).toBe(true);
    expect(existsSync(path)).toBe(false);
    expect(await lab.unpacked.evict(layer.diffId, Infinity)).toBe(false);
  });

  test('what a killed process or an earlier start of the machine left is swept, a living process is left alone', async () => {
    const base = lab.folder('swept');
    const first = await UnpackedLayers.open(lab.store, base);
    const layer = await lab.layer([file('kept', 'x')]);
    const name = await first.ensure(layer);
    const dead = spawnSync('true').pid;
    const mine = `${process.pid}.${readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ')[19]}`;
    for (const mark of [`${dead}.1.ab`, `${process.pid}.1.ab`, `${mine}.ab`]) {
      mkdirSync(join(first.directory, '.tmp', mark, 'layer'), { recursive: true });
    }
    mkdirSync(join(base, 'deadbeef', 'old'), { recursive: true });
    const second = await UnpackedLayers.open(lab.store, base);
    expect(readdirSync(join(second.directory, '.tmp'))).toEqual([`${mine}.ab`]);
    expect(readdirSync(base)).toHaveLength(1);
    expect(existsSync(join(second.directory, name, 'kept'))).toBe(true);
  });

  test('names are short enough for 127 layers in one mount', () => {
    const name = layerName(`sha256:${'0'.repeat(10)}${'f'.repeat(54)}` as KnownLayer['diffId']);
    expect(name).toMatch(/^[0-9a-v]{26}$/);
    expect(127 * (name.length + 1)).toBeLessThan(4096 - 500);
  });
});
