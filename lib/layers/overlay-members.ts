/**
 * Turns the entries of a layer into those of an overlayfs lower folder: a whiteout becomes a 0/0 character device, an
 * opaque marker the attribute `trusted.overlay.opaque` of its folder. It also stands guard: what it lets through can
 * be unpacked without any write leaving the folder.
 */
import { AppError } from '../errors/index.js';
import { noBytes } from './byte-stream.js';
import { parentPath, quoteName } from './path-name.js';
import { impliedDirectory } from './tree-node.js';
import type { PlacedMember } from './tar-reader.js';
import type { LayerEntry, TarMember } from './types.js';
import { isOpaqueMarker, isWhiteout, OPAQUE_MARKER, whiteoutOf } from './whiteout.js';

export const OPAQUE_XATTR = 'trusted.overlay.opaque';

/**
 * @throws AppError LAYER_UNSAFE for an entry that would pass through something that is no folder, LAYER_LINK_BROKEN for
 * a hard link to no file before it, LAYER_UNSUPPORTED for a folder that becomes a file within one layer
 */
export async function* overlayMembers(
  members: AsyncIterable<PlacedMember>,
): AsyncGenerator<TarMember, void, undefined> {
  const folder = new OverlayFolder();
  for await (const member of members) yield* folder.add(member);
}

/** What has been written so far, by path. A folder is known by its metadata, since an opaque marker may come later. */
type Written =
  | { readonly type: 'directory'; readonly entry: LayerEntry; readonly opaque: boolean }
  | { readonly type: 'whiteout' }
  | { readonly type: 'other'; readonly linkable: true };

class OverlayFolder {
  private readonly written = new Map<string, Written>();

  *add(member: PlacedMember): Generator<TarMember> {
    const { path } = member.entry;
    yield* this.parents(member);
    if (path === OPAQUE_MARKER) {
      throw this.refuse('LAYER_UNSUPPORTED', member, 'overlayfs cannot hide all lower layers by a marker at the root');
    }
    if (isOpaqueMarker(path)) yield* this.makeOpaque(parentPath(path));
    else if (isWhiteout(path)) yield* this.hide(whiteoutOf(path));
    else if (member.entry.type === 'directory') yield* this.directory(member.entry);
    else yield* this.other(member);
  }

  private *parents(member: PlacedMember): Generator<TarMember> {
    const path = parentPath(member.entry.path);
    if (path === '' || this.written.get(path)?.type === 'directory') return;
    let at = path.indexOf('/');
    for (;;) {
      const above = at < 0 ? path : path.slice(0, at);
      const known = this.written.get(above);
      if (known?.type === 'other') {
        throw this.refuse('LAYER_UNSAFE', member, `it lies in ${quoteName(above)}, which is no folder in this layer`);
      }
      if (known?.type !== 'directory') yield* this.directory(impliedDirectory(above));
      if (at < 0) return;
      at = path.indexOf('/', at + 1);
    }
  }

  private *directory(described: LayerEntry): Generator<TarMember> {
    const entry = withoutTrusted(described);
    const before = this.written.get(entry.path);
    // A folder beside its own whiteout shows nothing of the folder below.
    const opaque = before?.type === 'whiteout' || (before?.type === 'directory' && before.opaque);
    yield* this.writeDirectory(entry, opaque);
  }

  private *writeDirectory(entry: LayerEntry, opaque: boolean): Generator<TarMember> {
    this.written.set(entry.path, { type: 'directory', entry, opaque });
    const xattrs = new Map([...(entry.xattrs ?? []), [OPAQUE_XATTR, Buffer.from('y')] as const]);
    yield { entry: opaque ? { ...entry, xattrs } : entry, body: noBytes() };
  }

  private *makeOpaque(path: string): Generator<TarMember> {
    const known = this.written.get(path);
    if (known?.type === 'directory' && !known.opaque) yield* this.writeDirectory(known.entry, true);
  }

  private *hide(path: string | undefined): Generator<TarMember> {
    if (path === undefined) return;
    const known = this.written.get(path);
    if (known?.type === 'directory') yield* this.makeOpaque(path);
    if (known !== undefined) return;
    this.written.set(path, { type: 'whiteout' });
    const entry: LayerEntry = {
      path,
      type: 'char',
      mode: 0,
      uid: 0,
      gid: 0,
      mtimeSeconds: 0,
      sizeBytes: 0,
      device: { major: 0, minor: 0 },
    };
    yield { entry, body: noBytes() };
  }

  private *other(member: PlacedMember): Generator<TarMember> {
    const { entry } = member;
    if (this.written.get(entry.path)?.type === 'directory') {
      throw this.refuse('LAYER_UNSUPPORTED', member, `the folder becomes a ${entry.type} within one layer`);
    }
    if (entry.type === 'hardlink') {
      const target = this.written.get(entry.linkTarget ?? '');
      if (target?.type !== 'other' || !target.linkable || entry.linkTarget === entry.path) {
        throw this.refuse(
          'LAYER_LINK_BROKEN',
          member,
          `a hard link to ${quoteName(entry.linkTarget ?? '')}, which is no file before it`,
        );
      }
    }
    this.written.set(entry.path, { type: 'other', linkable: true });
    yield { entry: withoutTrusted(entry), body: member.body };
  }

  private refuse(code: string, { entry, offset }: PlacedMember, problem: string): AppError {
    return new AppError(code, `layer: entry ${quoteName(entry.path)} at byte ${offset}: ${problem}`, {
      kind: code === 'LAYER_UNSUPPORTED' ? 'unsupported' : 'invalid',
      details: { entry: entry.path, offset },
    });
  }
}

/** An image may not set what steers overlayfs. */
function withoutTrusted(entry: LayerEntry): LayerEntry {
  const { xattrs, ...rest } = entry;
  const kept = new Map([...(xattrs ?? [])].filter(([name]) => !name.startsWith('trusted.')));
  return kept.size > 0 ? { ...rest, xattrs: kept } : rest;
}
