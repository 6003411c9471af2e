/**
 * Copies of entries, field by field. With object spread V8 makes a hidden class for each single copy as soon as it has
 * seen entries of several kinds: more bytes than the entry itself has, and slow reads of all of them ever after.
 */
import type { LayerEntry } from '../types.js';

/** While it is made. */
export type Unfinished<T> = { -readonly [Field in keyof T]: T[Field] };

/** The entry with other values in some fields, and without what only an index, a tree or a list knows of it. */
export function copyEntry(entry: LayerEntry, changes: Partial<LayerEntry> = NOTHING): LayerEntry {
  const copy: Unfinished<LayerEntry> = {
    path: changes.path ?? entry.path,
    type: changes.type ?? entry.type,
    mode: changes.mode ?? entry.mode,
    uid: changes.uid ?? entry.uid,
    gid: changes.gid ?? entry.gid,
    mtimeSeconds: changes.mtimeSeconds ?? entry.mtimeSeconds,
    sizeBytes: changes.sizeBytes ?? entry.sizeBytes,
  };
  copyRare(copy, entry, changes);
  return copy;
}

/** What few entries have: a target of links, the number of devices, extended attributes unless there are none left. */
export function copyRare(
  copy: Unfinished<LayerEntry>,
  entry: LayerEntry,
  changes: Partial<LayerEntry> = NOTHING,
): void {
  const linkTarget = changes.linkTarget ?? entry.linkTarget;
  const device = changes.device ?? entry.device;
  const xattrs = changes.xattrs ?? entry.xattrs;
  if (linkTarget !== undefined) copy.linkTarget = linkTarget;
  if (device !== undefined && (copy.type === 'char' || copy.type === 'block')) copy.device = device;
  if (xattrs !== undefined && xattrs.size > 0) copy.xattrs = xattrs;
}

const NOTHING: Partial<LayerEntry> = {};
