/**
 * What may stand in a build context, whatever it came as (a tar, a list of files): clean names, files, folders and
 * links only, nothing behind a link, nothing twice. Where a symbolic link points is data.
 */
import type { AppError } from '../../errors/index.js';
import { ancestors, parentPath, quoteName } from '../tree/path-name.js';
import type { TarErrorCode } from '../tar/tar-errors.js';
import type { LayerEntry } from '../types.js';
import { isAtWhiteout } from '../tree/whiteout.js';

/** Makes the error, with the entry's place. */
export type Refuse = (code: TarErrorCode, problem: string, hint?: string) => AppError;

/** Names on Linux end here. */
const MAX_NAME_BYTES = 255;

export class ContextRules {
  /** The type of each entry so far. */
  private readonly types = new Map<string, LayerEntry['type']>();
  /** Every folder that some entry lies in. */
  private readonly folders = new Set<string>();

  /** The next entry, in the order they come. @throws what `refuse` makes */
  check(entry: LayerEntry, refuse: Refuse): void {
    checkName(entry, refuse);
    this.checkTarget(entry, refuse);
    this.checkPlace(entry, refuse);
  }

  private checkTarget(entry: LayerEntry, refuse: Refuse): void {
    const target = entry.linkTarget;
    if (target === undefined) return;
    if (CONTROL.test(target)) throw refuse('TAR_UNSAFE_PATH', 'its link target has a control character');
    if (entry.type !== 'hardlink') return;
    const type = this.types.get(target);
    if (type === 'file' || type === 'hardlink') return;
    const what = type === undefined ? 'no entry before it' : `a ${type}`;
    throw refuse('TAR_UNSAFE_ENTRY', `a hard link to ${quoteName(target)}, which is ${what}`);
  }

  private checkPlace(entry: LayerEntry, refuse: Refuse): void {
    if (this.types.has(entry.path)) throw refuse('TAR_UNSAFE_ENTRY', 'it stands in the context twice');
    if (entry.type !== 'directory' && this.folders.has(entry.path)) {
      throw refuse('TAR_UNSAFE_ENTRY', `it is a ${entry.type}, but entries before it lie in it`);
    }
    // Where another entry lies, everything above is known to be folders, and stays so.
    const isKnownPlace = this.folders.has(parentPath(entry.path));
    for (const above of isKnownPlace ? [] : ancestors(entry.path)) {
      const type = this.types.get(above);
      if (type !== undefined && type !== 'directory') {
        throw refuse('TAR_UNSAFE_PATH', `it lies in ${quoteName(above)}, which is a ${type}`);
      }
      this.folders.add(above);
    }
    this.types.set(entry.path, entry.type);
  }
}

function checkName(entry: LayerEntry, refuse: Refuse): void {
  if (CONTROL.test(entry.path)) throw refuse('TAR_UNSAFE_PATH', 'its name has a control character');
  if (isLonger(entry.path, MAX_NAME_BYTES)) {
    const long = entry.path.split('/').find((part) => isLonger(part, MAX_NAME_BYTES));
    if (long !== undefined) {
      throw refuse('TAR_UNSAFE_PATH', `the component ${quoteName(long)} is longer than ${MAX_NAME_BYTES} bytes`);
    }
  }
  if (isAtWhiteout(entry.path)) {
    throw refuse('TAR_UNSAFE_ENTRY', 'names beginning with ".wh." are the marks of layers, not of files');
  }
  if (entry.type === 'char' || entry.type === 'block' || entry.type === 'fifo') {
    const what = entry.type === 'fifo' ? 'fifo' : 'device';
    throw refuse('TAR_UNSAFE_ENTRY', `a ${what} in a build context`, ALLOWED);
  }
}

/** Whether the text has more bytes. A character has three at most. */
export function isLonger(text: string, bytes: number): boolean {
  return text.length * 3 > bytes && Buffer.byteLength(text) > bytes;
}

const CONTROL = /\p{Cc}/u;
const ALLOWED = 'files, folders, hard links and symbolic links';
