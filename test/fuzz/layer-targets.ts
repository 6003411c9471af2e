/** What reads archives from strangers: tars as contexts and as layers, compressed ones, and trees made of changesets. */
import { execFileSync } from 'node:child_process';
import { gzipSync } from 'node:zlib';
import {
  completeChangeset,
  decompress,
  ImageTree,
  EntryList,
  type LayerEntry,
  type LayerIndex,
  readContext,
  readTar,
  writeTar,
} from '../../lib/layers/index.js';
import { overlayMembers } from '../../lib/layers/overlay/overlay-members.js';
import { unzstd } from '../../lib/layers/compression/zstd.js';
import { type Digest, digestOf, MediaType } from '../../lib/oci/index.js';
import { bytesOf, collect, device, directory, file, hardlink, symlink } from '../layers/members.js';
import { archive, block, entry, gnuLong, pax } from '../layers/raw-tar.js';
import { mutateBytes } from './mutate.js';
import type { Random } from './random.js';
import { expectThat, settled, type Target } from './target.js';

const LIMITS = { entries: 200, totalBytes: 1024 * 1024, headerBytes: 16 * 1024, pathBytes: 1024, depth: 40 };

const tars: readonly Buffer[] = [
  await collect(
    writeTar([
      directory('d'),
      file('d/a', 'content', { xattrs: new Map([['security.capability', Buffer.from([1, 0, 0, 2])]]) }),
      hardlink('d/b', 'd/a'),
      symlink('d/l', '../../x'),
      file(`d/${'n'.repeat(150)}`, 'x'.repeat(1500), { uid: 3_000_000, mtimeSeconds: -5 }),
      file('d/.wh.gone'),
      file('d/.wh..wh..opq'),
      device('null', 'char', 1, 3),
    ]),
  ),
  archive(pax({ path: 'long/name', size: '3', 'SCHILY.xattr.user.a': 'v' }), entry({ name: 'x', size: 3 }, 'abc')),
  archive(
    gnuLong('L', 'a/'.repeat(60)),
    entry({ name: 'y' }, 'abc'),
    gnuLong('K', 'target'),
    entry({ name: 'z', type: '2' }),
  ),
  archive(pax({ mtime: '1.5' }, 'g'), entry({ name: 'a/../b' }, 'q'), block({ name: 'dir/', type: '5' })),
];
const gzips = tars.map((bytes) => gzipSync(bytes));
const zstds = tars.map(zstd);

/** By the machine's own program where it has it: frames that fzstd did not make. */
function zstd(bytes: Buffer): Buffer {
  try {
    return execFileSync('zstd', ['-c', '--no-progress'], { input: bytes, stdio: ['pipe', 'pipe', 'ignore'] });
  } catch {
    return Buffer.from('28b52ffd2000010000', 'hex');
  }
}

/** The bytes in pieces of any size: what is found may not depend on where they are cut. */
async function* pieces(bytes: Buffer, random: Random): AsyncGenerator<Uint8Array> {
  const size = random.chance(0.5) ? bytes.length + 1 : 1 + random.below(700);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function tar(random: Random): Promise<void> {
  const bytes = mutateBytes(random, tars);
  const seen = { entries: 0, bytes: 0 };
  const check = async (
    members: AsyncIterable<{ entry: LayerEntry; body: AsyncIterable<Uint8Array> }>,
    strict: boolean,
  ) => {
    for await (const {
      entry: { path, type },
      body,
    } of members) {
      const parts = path.split('/');
      expectThat(!path.startsWith('/') && !parts.includes('..') && !path.includes('\0'), `let through ${path}`);
      expectThat(parts.length <= LIMITS.depth && Buffer.byteLength(path) <= LIMITS.pathBytes, 'over a limit');
      expectThat(!strict || !/^(char|block|fifo)$/.test(type), `let a ${type} through`);
      seen.entries += 1;
      if (random.chance(0.7)) for await (const chunk of body) seen.bytes += chunk.length;
    }
  };
  await settled(() => check(readTar(pieces(bytes, random), { limits: LIMITS }), false));
  await settled(() => check(readContext(pieces(bytes, random), { limits: LIMITS }), true));
  expectThat(seen.entries <= 2 * LIMITS.entries && seen.bytes <= 2 * LIMITS.totalBytes, 'over a limit');
}

async function compressed(random: Random): Promise<void> {
  const limits = { maxBytes: 256 * 1024, maxRatio: 100, ratioFromBytes: 16 * 1024 };
  const bytes = mutateBytes(random, random.chance(0.5) ? gzips : zstds);
  const drain = async (source: AsyncIterable<Uint8Array>): Promise<void> => {
    let total = 0;
    for await (const chunk of source) total += chunk.length;
    expectThat(total <= 2 * limits.maxBytes, 'unpacked more than allowed');
  };
  await settled(() => drain(decompress(pieces(bytes, random), 'sniff', limits)));
  if (random.chance(0.3)) await settled(() => drain(unzstd(pieces(bytes, random))));
}

const NAMES = ['a', 'b', 'c', 'dir', 'd.x', 'é'];
const MARKS = ['.wh.a', '.wh.b', '.wh.dir', '.wh..wh..opq', '.wh.', '.wh..wh.aufs'];
const TARGETS = ['a', '/', '..', '../..', '/dir/a', 'loop', './b', 'dir', '/a/b/c', 'a/../../b'];

function randomEntry(random: Random, earlier: readonly LayerEntry[]): LayerEntry {
  const names = Array.from({ length: random.count(3) }, () => random.pick(NAMES));
  const path = [...names, random.pick(random.chance(0.25) ? MARKS : NAMES)].join('/');
  const common = { path, uid: random.below(3), gid: 0, mtimeSeconds: random.below(100), sizeBytes: 0, mode: 0o644 };
  const files = earlier.filter(({ type }) => type === 'file');
  switch (random.below(5)) {
    case 0:
      return { ...common, type: 'directory', mode: 0o755 };
    case 1:
      return { ...common, type: 'symlink', mode: 0o777, linkTarget: random.pick(TARGETS) };
    case 2:
      if (files.length === 0) return { ...common, type: 'fifo' };
      return { ...common, type: 'hardlink', linkTarget: random.chance(0.9) ? random.pick(files).path : 'nowhere' };
    default:
      return { ...common, type: 'file' };
  }
}

function indexOf(entries: readonly LayerEntry[], number: number): LayerIndex {
  const digest: Digest = digestOf(Buffer.from(`layer ${number}`));
  return {
    descriptor: { mediaType: MediaType.ociLayer, digest, size: 0 },
    diffId: digest,
    uncompressedBytes: 0,
    entries: EntryList.of(entries.map((each, i) => ({ ...each, bodyOffset: 512 * (i + 1) }))),
  };
}

const NOTHING = { open: () => Promise.resolve(undefined) } as unknown as Parameters<typeof ImageTree.empty>[0];

async function changeset(random: Random): Promise<void> {
  await settled(async () => {
    let tree = ImageTree.empty(NOTHING);
    for (let layer = 0; layer <= random.count(4); layer += 1) {
      const entries: LayerEntry[] = [];
      for (let i = 0; i <= random.count(20); i += 1) entries.push(randomEntry(random, entries));
      await settled(async () => {
        const placed = async function* () {
          for (const [i, each] of entries.entries()) yield { entry: each, body: bytesOf(), offset: i, bodyOffset: i };
        };
        await checkOverlay(overlayMembers(placed()));
      });
      tree = tree.withLayer(indexOf(entries, layer));
    }
    const found = [...tree.walk()];
    for (const [i, { path }] of found.entries()) {
      const above = path.includes('/') ? tree.exact(path.slice(0, path.lastIndexOf('/'))) : undefined;
      expectThat(!path.includes('/') || above?.type === 'directory', `${path} lies in no folder`);
      expectThat(i === 0 || found[i - 1]?.path !== path, `${path} twice`);
      expectThat(!/(^|\/)\.wh\./.test(path), `the mark ${path} is a file`);
    }
    await settled(async () => tree.lookup(random.pick(TARGETS)));
    await settled(async () =>
      expectThat(!tree.resolve(random.pick(TARGETS)).includes('..'), 'resolved out of the root'),
    );
    await checkSame(tree, found);
  });
}

/** Nothing is written that would pass through something other than a folder. */
async function checkOverlay(members: ReturnType<typeof overlayMembers>): Promise<void> {
  const types = new Map<string, string>();
  for await (const {
    entry: { path, type },
  } of members) {
    const parts = path.split('/');
    for (let depth = 1; depth < parts.length; depth += 1) {
      const above = types.get(parts.slice(0, depth).join('/'));
      expectThat(above === 'directory', `${path} is written through a ${above}`);
    }
    types.set(path, type);
  }
}

/** The tree, written as one changeset and laid over nothing, is the same tree. */
async function checkSame(tree: ImageTree, found: readonly LayerEntry[]): Promise<void> {
  const plain = found.map(({ path, type, mode, uid, gid, mtimeSeconds, linkTarget }) => ({
    path,
    type,
    mode,
    uid,
    gid,
    mtimeSeconds,
    sizeBytes: 0,
    ...(linkTarget === undefined ? {} : { linkTarget }),
  }));
  const entries: LayerEntry[] = [];
  const members = plain.map((each) => ({ entry: each, body: bytesOf() }));
  for await (const member of completeChangeset(members, tree)) entries.push(member.entry);
  const again = [...ImageTree.empty(NOTHING).withLayer(indexOf(entries, 99)).walk()];
  const listed = (each: LayerEntry): string =>
    `${each.path} ${each.type} ${each.mode} ${each.uid} ${each.linkTarget ?? ''}`;
  expectThat(again.map(listed).join('\n') === found.map(listed).join('\n'), 'a tree written again is another tree');
}

export const LAYER_TARGETS: readonly Target[] = [
  { name: 'tar', share: 0.12, run: tar },
  { name: 'compressed', share: 0.05, run: compressed },
  { name: 'changeset', share: 0.13, run: changeset },
];
