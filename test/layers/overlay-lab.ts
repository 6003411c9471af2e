/** A real overlayfs over unpacked layers, for tests: run commands on the merged tree, take the changes, look at trees. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  changesetOfUpper,
  ImageTree,
  type LayerEntry,
  type TarMember,
  UnpackedLayers,
  UpperAsLayer,
  type UpperChangesetOptions,
} from '../../lib/layers/index.js';
import { type KnownLayer, writtenLayer } from './members.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';

const PLAIN = 'index=off,redirect_dir=off,metacopy=off';

export class OverlayLab {
  private readonly mounts: string[] = [];
  private count = 0;

  private constructor(
    readonly store: TestStore,
    readonly unpacked: UnpackedLayers,
  ) {}

  static async open(): Promise<OverlayLab> {
    const store = await createTestStore();
    return new OverlayLab(store, await UnpackedLayers.open(store, join(store.directory, 'unpacked')));
  }

  async layer(members: Iterable<TarMember>): Promise<KnownLayer> {
    return writtenLayer(members, { content: this.store.content, compression: 'none' });
  }

  tree(layers: readonly KnownLayer[]): ImageTree {
    return layers.reduce((tree, layer) => tree.withLayer(layer.index), ImageTree.empty(this.store.content));
  }

  /** Layers bottom first. Gives the mounted root and the upper folder. */
  async mount(layers: readonly KnownLayer[]): Promise<{ readonly root: string; readonly upper: string }> {
    const lowers: string[] = [];
    for (const layer of layers) lowers.unshift(await this.unpacked.ensure(layer));
    const [root, upper, work] = ['root', 'upper', 'work'].map((name) => this.folder(name));
    if (root === undefined || upper === undefined || work === undefined) throw new Error('no folders');
    const options = `lowerdir=${lowers.join(':')},upperdir=${upper},workdir=${work},${PLAIN}`;
    execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', options, root], { cwd: this.unpacked.directory });
    this.mounts.push(root);
    return { root, upper };
  }

  /** Runs a shell script in a mounted root; it must succeed. */
  run(root: string, script: string): void {
    const result = spawnSync('sh', ['-euc', script], { cwd: root, encoding: 'utf8' });
    if (result.status !== 0) throw new Error(`script: status ${result.status}: ${result.stderr}`);
  }

  async changes(
    upper: string,
    lower: ImageTree,
    options: Omit<UpperChangesetOptions, 'lower'> = {},
    written = new UpperAsLayer(),
    change: (entry: LayerEntry) => LayerEntry = (entry) => entry,
  ): Promise<KnownLayer> {
    const changes = changesetOfUpper(upper, { lower, saw: written.saw, ...options });
    return writtenLayer(written.watch(changed(changes, change)), { content: this.store.content, compression: 'none' });
  }

  folder(name: string): string {
    this.count += 1;
    const path = join(this.store.directory, `${name}${this.count}`);
    mkdirSync(path);
    return path;
  }

  unmountAll(): void {
    for (const mount of this.mounts.splice(0).reverse()) execFileSync('umount', [mount]);
  }

  async close(): Promise<void> {
    this.unmountAll();
    await this.store.close();
  }
}

async function* changed(
  members: AsyncIterable<TarMember>,
  change: (entry: LayerEntry) => LayerEntry,
): AsyncGenerator<TarMember, void, undefined> {
  for await (const { entry, body } of members) yield { entry: change(entry), body };
}

/** The interpreter itself: a shim in front of it would be most of the time of a test. */
let python: string | undefined;

/** Every path of a tree with all that a container can see of it, except the times of folders. */
export function snapshot(root: string): Record<string, unknown> {
  python ??= execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' }).trim();
  const output = execFileSync(python, ['-I', '-S', '-c', SNAPSHOT, root], { encoding: 'utf8', maxBuffer: 1e9 });
  return JSON.parse(output) as Record<string, unknown>;
}

const SNAPSHOT = String.raw`
import os, sys, stat, json, hashlib
root = os.fsencode(sys.argv[1])
out, inodes = {}, {}
def visit(path, name):
    s = os.lstat(path)
    kind = stat.S_IFMT(s.st_mode)
    item = {'mode': oct(s.st_mode), 'uid': s.st_uid, 'gid': s.st_gid}
    if kind != stat.S_IFDIR:
        item['mtime'] = int(s.st_mtime_ns // 10**9)
    if kind == stat.S_IFREG:
        item['sha'] = hashlib.sha256(open(path, 'rb').read()).hexdigest()
    if kind == stat.S_IFLNK:
        item['target'] = os.fsdecode(os.readlink(path))
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        item['rdev'] = s.st_rdev
    caps = [x for x in os.listxattr(path, follow_symlinks=False) if x == 'security.capability']
    if caps:
        item['caps'] = os.getxattr(path, caps[0], follow_symlinks=False).hex()
    if kind != stat.S_IFDIR and s.st_nlink > 1:
        inodes.setdefault(s.st_ino, []).append(os.fsdecode(name))
    out[os.fsdecode(name)] = item
    if kind == stat.S_IFDIR:
        for child in sorted(os.listdir(path)):
            visit(os.path.join(path, child), os.path.join(name, child))
for child in sorted(os.listdir(root)):
    visit(os.path.join(root, child), child)
out['/links'] = sorted(sorted(names) for names in inodes.values() if len(names) > 1)
print(json.dumps(out))
`;

export function temporaryFolder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync('/tmp/wharf-layers-test-');
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
