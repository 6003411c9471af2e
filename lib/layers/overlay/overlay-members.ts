/**
 * Turns the entries of a layer into those of an overlayfs lower folder: a whiteout becomes a 0/0 character device, an
 * opaque marker the attribute `trusted.overlay.opaque` of its folder. It also stands guard: what it lets through can
 * be unpacked without any write leaving the folder.
 */
import { AppError } from '../../errors/index.js';
import { noBytes } from '../byte-stream.js';
import { impliedDirectory } from '../tree/changeset.js';
import { Column } from '../tree/column.js';
import { copyEntry } from '../tree/copy-entry.js';
import { ancestors, parentPath, quoteName } from '../tree/path-name.js';
import { PathTable } from '../tree/path-table.js';
import type { PlacedMember } from '../tar/tar-reader.js';
import type { LayerEntry, TarMember } from '../types.js';
import { isOpaqueMarker, isWhiteout, OPAQUE_MARKER, whiteoutOf } from '../tree/whiteout.js';

export const OPAQUE_XATTR = 'trusted.overlay.opaque';

/**
 * Whiteouts come last: only then it is known which folders are opaque, and a whiteout inside one would be shown by the
 * kernel as a name that leads nowhere.
 * @throws AppError LAYER_UNSAFE for an entry that would pass through something that is no folder, LAYER_LINK_BROKEN for
 * a hard link to no file before it, LAYER_UNSUPPORTED for a folder that becomes a file within one layer
 */
export async function* overlayMembers(
  members: AsyncIterable<PlacedMember>,
): AsyncGenerator<TarMember, void, undefined> {
  const folder = new OverlayFolder();
  for await (const member of members) yield* folder.add(member);
  yield* folder.whiteouts();
}

/** What has been written so far. A folder is known by its metadata, since an opaque marker may come later. */
interface WrittenFolder {
  readonly entry: LayerEntry;
  readonly opaque: boolean;
}

class OverlayFolder {
  private readonly folders = new Map<string, WrittenFolder>();
  /** Everything else. */
  private readonly others = new PathTable();
  private readonly isOther = new Column();
  private readonly hidden = new Set<string>();

  *add(member: PlacedMember): Generator<TarMember> {
    const { path, type } = member.entry;
    yield* this.parents(member);
    if (path === OPAQUE_MARKER) {
      throw refuse('LAYER_UNSUPPORTED', member, 'overlayfs cannot hide all lower layers by a marker at the root');
    }
    if (isOpaqueMarker(path)) yield* this.makeOpaque(parentPath(path));
    else if (isWhiteout(path)) this.hidden.add(whiteoutOf(path) ?? '');
    else if (type === 'directory') yield* this.directory(member.entry);
    else yield* this.other(member);
  }

  *whiteouts(): Generator<TarMember> {
    this.hidden.delete('');
    // A folder beside its own whiteout shows nothing of the folder below; any other entry hides it anyway.
    for (const path of this.hidden) yield* this.makeOpaque(path);
    for (const path of this.hidden) {
      const isWritten = this.folders.has(path) || this.hasOther(path);
      if (!isWritten && !ancestors(path).some((above) => this.isOpaque(above))) yield whiteoutDevice(path);
    }
  }

  private *parents(member: PlacedMember): Generator<TarMember> {
    const parent = parentPath(member.entry.path);
    if (parent === '' || this.folders.has(parent)) return;
    for (const above of ancestors(member.entry.path)) {
      if (this.hasOther(above)) {
        throw refuse('LAYER_UNSAFE', member, `it lies in ${quoteName(above)}, which is no folder in this layer`);
      }
      if (!this.folders.has(above)) yield* this.directory(impliedDirectory(above));
    }
  }

  private *directory(entry: LayerEntry): Generator<TarMember> {
    yield* this.writeDirectory(withoutTrusted(entry), this.isOpaque(entry.path));
  }

  private *makeOpaque(path: string): Generator<TarMember> {
    const known = this.folders.get(path);
    if (known?.opaque === false) yield* this.writeDirectory(known.entry, true);
  }

  private *writeDirectory(entry: LayerEntry, opaque: boolean): Generator<TarMember> {
    this.folders.set(entry.path, { entry, opaque });
    this.markOther(entry.path, 0);
    const xattrs = new Map([...(entry.xattrs ?? []), [OPAQUE_XATTR, Buffer.from('y')] as const]);
    yield { entry: opaque ? copyEntry(entry, { xattrs }) : entry, body: noBytes() };
  }

  private isOpaque(path: string): boolean {
    return this.folders.get(path)?.opaque === true;
  }

  private hasOther(path: string): boolean {
    return this.isOther.at(this.others.find(path) ?? 0) === 1;
  }

  private markOther(path: string, value: 0 | 1): void {
    this.isOther.put(this.others.add(path), value);
  }

  private *other(member: PlacedMember): Generator<TarMember> {
    const { entry } = member;
    if (this.folders.has(entry.path)) {
      throw refuse('LAYER_UNSUPPORTED', member, `the folder becomes a ${entry.type} within one layer`);
    }
    const target = entry.linkTarget ?? '';
    if (entry.type === 'hardlink' && (!this.hasOther(target) || target === entry.path)) {
      throw refuse('LAYER_LINK_BROKEN', member, `a hard link to ${quoteName(target)}, which is no file before it`);
    }
    this.markOther(entry.path, 1);
    yield { entry: withoutTrusted(entry), body: member.body };
  }
}

function whiteoutDevice(path: string): TarMember {
  const device = { major: 0, minor: 0 };
  const entry: LayerEntry = { path, type: 'char', mode: 0, uid: 0, gid: 0, mtimeSeconds: 0, sizeBytes: 0, device };
  return { entry, body: noBytes() };
}

function refuse(code: string, { entry, offset }: PlacedMember, problem: string): AppError {
  return new AppError(code, `layer: entry ${quoteName(entry.path)} at byte ${offset}: ${problem}`, {
    kind: code === 'LAYER_UNSUPPORTED' ? 'unsupported' : 'invalid',
    details: { entry: entry.path, offset },
  });
}

/** An image may not set what steers overlayfs. */
function withoutTrusted(entry: LayerEntry): LayerEntry {
  if (entry.xattrs === undefined) return entry;
  const kept = new Map([...entry.xattrs].filter(([name]) => !name.startsWith('trusted.')));
  return copyEntry(entry, { xattrs: kept });
}
