/**
 * What a RUN changed, read from the overlayfs upper folder alone: cost follows the changes, not the image. The rules
 * are BuildKit's (util/overlay): 0/0 devices are deletions; a folder that was made anew (opaque) is compared with the
 * one below name by name; what was copied up and is as before is left out.
 */
import { createReadStream } from 'node:fs';
import { AppError } from '../../errors/index.js';
import type { ByteSource } from '../../store/index.js';
import { sameBytes } from '../byte-stream.js';
import { ChangeWriter } from '../tree/change-writer.js';
import { type ChangesetRules, impliedDirectory } from '../tree/changeset.js';
import { createTar } from './gnu-tar.js';
import type { ImageTree, TreeContents, TreeEntry } from '../tree/image-tree.js';
import { OPAQUE_XATTR } from './overlay-members.js';
import { comparePaths, encodeName, joinPath, quoteName } from '../tree/path-name.js';
import { type PlacedMember, readTar } from '../tar/tar-reader.js';
import type { LayerEntry, TarMember } from '../types.js';
import { scanUpper, type UpperNode, upperPath } from './upper-scan.js';

export interface UpperChangesetOptions extends ChangesetRules {
  /** What the upper folder was mounted over. */
  readonly lower: ImageTree;
  /**
   * Mounts that alone and says where, once a file of it is wanted: what comes out of a compressed layer costs all that is
   * before it. Read from the layers when absent.
   */
  readonly mountLower?: () => Promise<string>;
}

/**
 * The changes as members in the order of layers, ready for `writeLayer`. Nothing may write to the folder meanwhile.
 * @param directory the upper folder, mounted with `redirect_dir=off,metacopy=off`
 * @throws AppError CHANGESET_FAILED, CHANGESET_UNSUPPORTED when the mount had other options
 */
export async function* changesetOfUpper(
  directory: string,
  options: UpperChangesetOptions,
): AsyncGenerator<TarMember, void, undefined> {
  const root = await scanUpper(directory);
  const names = [...present(root)].map((node) => encodeName(node.path));
  if (names.length === 0) {
    // Only deletions at the root, or nothing at all: tar would not create an empty archive.
    yield* new UpperWalk(directory, emptyTar(), options).folder(root, false);
    return;
  }
  const walk = new UpperWalk(directory, readTar(createTar(directory, names)), options);
  try {
    yield* walk.folder(root, false);
    await walk.finish();
  } finally {
    await walk.close();
  }
}

async function* emptyTar(): AsyncGenerator<PlacedMember, void, undefined> {}

/** Everything that tar is asked for, in order. */
function* present(folder: UpperNode): Generator<UpperNode> {
  for (const node of folder.children) {
    if (node.kind === 'whiteout') continue;
    yield node;
    yield* present(node);
  }
}

interface LowerContents extends Pick<TreeContents, 'close'> {
  read(entry: TreeEntry): ByteSource;
}

class UpperWalk {
  private readonly writer: ChangeWriter;
  private readonly folders = new Map<string, LayerEntry>();
  private readonly contents: LowerContents;

  constructor(
    private readonly directory: string,
    private readonly members: AsyncGenerator<PlacedMember, void, undefined>,
    private readonly options: UpperChangesetOptions,
  ) {
    this.writer = new ChangeWriter((path) => this.folders.get(path) ?? impliedDirectory(path), options);
    const { lower, mountLower } = options;
    this.contents = mountLower === undefined ? lower.contents() : mountedContents(mountLower);
  }

  /** @param anew whether the folder hides the one below, so that what is missing in it is gone */
  async *folder(folder: UpperNode, anew: boolean): AsyncGenerator<TarMember, void, undefined> {
    const upper = new Map(folder.children.map((node) => [node.name, node]));
    for (const name of this.names(folder, anew)) {
      const node = upper.get(name);
      const path = joinPath(folder.path, name);
      if (node !== undefined && node.kind !== 'whiteout') yield* this.present(node, anew);
      else if (this.options.lower.exact(path) !== undefined) yield* this.writer.removed(path);
    }
  }

  /** Reads the tar to its end, which makes sure that it ended well. */
  async finish(): Promise<void> {
    const extra = await this.members.next();
    if (extra.done !== true) throw outOfStep(extra.value.entry.path);
  }

  async close(): Promise<void> {
    await this.members.return();
    await this.contents.close();
  }

  private names(folder: UpperNode, anew: boolean): string[] {
    const names = folder.children.map((node) => node.name);
    if (!anew || this.options.lower.exact(folder.path)?.type !== 'directory') return names;
    const below = (this.options.lower.list(folder.path) ?? []).map((entry) => entry.path.slice(folder.path.length + 1));
    return [...new Set([...names, ...below])].sort(comparePaths);
  }

  private async *present(node: UpperNode, anew: boolean): AsyncGenerator<TarMember, void, undefined> {
    const member = await this.next(node);
    const below = this.options.lower.exact(node.path);
    const { entry } = member;
    if (node.kind === 'directory') this.folders.set(node.path, entry);
    const inode = node.isLinked ? node.inode : undefined;
    if (below === undefined || !(await this.isSame(node, member, below))) yield* this.writer.changed(member, inode);
    else if (anew) yield* this.writer.kept(entry, inode);
    if (node.kind === 'directory') {
      const opaque = entry.xattrs?.get(OPAQUE_XATTR);
      yield* this.folder(node, anew || (opaque !== undefined && below !== undefined));
    }
  }

  private async next(node: UpperNode): Promise<PlacedMember> {
    const next = await this.members.next();
    if (next.done === true || next.value.entry.path !== node.path) throw outOfStep(node.path);
    for (const name of ['trusted.overlay.redirect', 'trusted.overlay.metacopy']) {
      if (next.value.entry.xattrs?.has(name) === true) {
        throw new AppError('CHANGESET_UNSUPPORTED', `${quoteName(node.path)} carries ${name}`, {
          kind: 'internal',
          hint: 'mount with redirect_dir=off,metacopy=off',
        });
      }
    }
    return next.value;
  }

  /** Whether a path of the upper folder is as it is below: copied up, touched, or moved away and back. */
  private async isSame(node: UpperNode, { entry }: TarMember, below: TreeEntry): Promise<boolean> {
    if (entry.type !== below.type) return false;
    // Linux keeps no mode of a link; a layer may have any.
    if (entry.type !== 'symlink' && entry.mode !== below.mode) return false;
    if (entry.uid !== below.uid || entry.gid !== below.gid) return false;
    if (entry.device?.major !== below.device?.major || entry.device?.minor !== below.device?.minor) return false;
    if (!sameCapability(entry, below)) return false;
    if (entry.type === 'directory') return true;
    if (entry.sizeBytes !== below.sizeBytes || entry.linkTarget !== below.linkTarget) return false;
    // Lower files are dated in whole seconds, as their layers are.
    if (entry.mtimeSeconds !== below.mtimeSeconds || node.hasFraction) return false;
    if (entry.type !== 'file' || entry.sizeBytes === 0) return true;
    const file: ByteSource = createReadStream(upperPath(this.directory, node.path));
    return sameBytes(file, this.contents.read(below));
  }
}

/** Of paths that the tree has exactly so: no link leads out of the mount. */
function mountedContents(mount: () => Promise<string>): LowerContents {
  let root: Promise<string> | undefined;
  return {
    async *read({ path }) {
      root ??= mount();
      yield* createReadStream(upperPath(await root, path)) as ByteSource;
    },
    close: () => Promise.resolve(),
  };
}

function sameCapability(a: LayerEntry, b: LayerEntry): boolean {
  const none = new Uint8Array();
  const name = 'security.capability';
  return Buffer.compare(a.xattrs?.get(name) ?? none, b.xattrs?.get(name) ?? none) === 0;
}

function outOfStep(path: string): AppError {
  return new AppError('CHANGESET_FAILED', `the upper folder changed while it was read, at ${quoteName(path)}`, {
    kind: 'internal',
  });
}
