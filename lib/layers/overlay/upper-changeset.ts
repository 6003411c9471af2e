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
import { comparePaths, joinPath, quoteName } from '../tree/path-name.js';
import { type PlacedMember, readTar } from '../tar/tar-reader.js';
import type { LayerEntry, TarMember } from '../types.js';
import { presentPaths, type UpperFacts, upperFacts, type UpperName, upperNames, upperPath } from './upper-scan.js';

export interface UpperChangesetOptions extends ChangesetRules {
  /** What the upper folder was mounted over. */
  readonly lower: ImageTree;
  /**
   * Mounts that alone and says where, once a file of it is wanted: what comes out of a compressed layer costs all that is
   * before it. Read from the layers when absent.
   */
  readonly mountLower?: () => Promise<string>;
  /** Told of everything that stands in the folder, as it stands there. */
  readonly saw?: (entry: LayerEntry) => void;
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
  const paths = presentPaths(directory);
  const first = await paths.next();
  // Only deletions at the root, or nothing at all: tar would not create an empty archive.
  const members = first.done === true ? emptyTar() : readTar(createTar(directory, startingWith(first.value, paths)));
  const walk = new UpperWalk(directory, members, options);
  try {
    yield* walk.folder('', false);
    await walk.finish();
  } finally {
    await walk.close();
  }
}

async function* emptyTar(): AsyncGenerator<PlacedMember, void, undefined> {}

async function* startingWith<T>(first: T, rest: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
  yield first;
  yield* rest;
}

interface PresentNode extends UpperFacts {
  readonly path: string;
  readonly kind: 'directory' | 'other';
}

type UpperNode = PresentNode | { readonly path: string; readonly kind: 'whiteout' };

function isPresent(node: UpperNode): node is PresentNode {
  return node.kind !== 'whiteout';
}

const FACTS_AT_ONCE = 32;

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
  async *folder(path: string, anew: boolean): AsyncGenerator<TarMember, void, undefined> {
    const names = await this.names(path, anew);
    for (let at = 0; at < names.length; at += FACTS_AT_ONCE) {
      const nodes = await Promise.all(names.slice(at, at + FACTS_AT_ONCE).map((name) => this.node(path, name)));
      for (const node of nodes) {
        if (isPresent(node)) yield* this.present(node, anew);
        else if (this.options.lower.exact(node.path) !== undefined) yield* this.writer.removed(node.path);
      }
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

  private async names(path: string, anew: boolean): Promise<readonly UpperName[]> {
    const names = await upperNames(this.directory, path);
    if (!anew || this.options.lower.exact(path)?.type !== 'directory') return names;
    const known = new Set(names.map(({ name }) => name));
    const hidden = (this.options.lower.list(path) ?? [])
      .map((entry) => entry.path.slice(path.length + 1))
      .filter((name) => !known.has(name))
      .map((name) => ({ name, kind: 'whiteout' as const }));
    return [...names, ...hidden].sort((a, b) => comparePaths(a.name, b.name));
  }

  private async node(folder: string, { name, kind }: UpperName): Promise<UpperNode> {
    const path = joinPath(folder, name);
    return kind === 'whiteout' ? { path, kind } : { path, kind, ...(await upperFacts(this.directory, path)) };
  }

  private async *present(node: PresentNode, anew: boolean): AsyncGenerator<TarMember, void, undefined> {
    const member = await this.next(node);
    const below = this.options.lower.exact(node.path);
    const { entry } = member;
    this.options.saw?.(entry);
    if (node.kind === 'directory') this.folders.set(node.path, entry);
    if (below === undefined || !(await this.isSame(node, member, below)))
      yield* this.writer.changed(member, node.inode);
    else if (anew) yield* this.writer.kept(entry, node.inode);
    if (node.kind === 'directory') {
      const opaque = entry.xattrs?.get(OPAQUE_XATTR);
      yield* this.folder(node.path, anew || (opaque !== undefined && below !== undefined));
    }
  }

  private async next(node: PresentNode): Promise<PlacedMember> {
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
  private async isSame(node: PresentNode, { entry }: TarMember, below: TreeEntry): Promise<boolean> {
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
