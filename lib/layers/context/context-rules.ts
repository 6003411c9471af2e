/**
 * What may stand in a build context, whatever it came as (a tar, a list of files): clean names, files, folders and
 * links only, nothing behind a link, nothing twice. Where a symbolic link points is data.
 */
import type { AppError } from '../../errors/index.js';
import { Column } from '../tree/column.js';
import { quoteName } from '../tree/path-name.js';
import { PathTable } from '../tree/path-table.js';
import type { TarErrorCode } from '../tar/tar-errors.js';
import type { LayerEntry } from '../types.js';
import { isAtWhiteout } from '../tree/whiteout.js';

/** Makes the error, with the entry's place. */
export type Refuse = (code: TarErrorCode, problem: string, hint?: string) => AppError;

const OTHER_NAME = 'another name, or a pattern in .dockerignore that leaves it out';
/** Names on Linux end here. */
const MAX_NAME_BYTES = 255;

export class ContextRules {
  /** Place in TYPES of each entry by its row; 0 of what is none, but lies on the way to one. */
  private readonly types = new Column();

  /** @param paths of the entries so far, and of the folders that they lie in: those of the list they go to, if any */
  constructor(private readonly paths = new PathTable()) {}

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
    const row = this.paths.find(target);
    const type = row === undefined ? undefined : this.typeAt(row);
    if (type === 'file' || type === 'hardlink') return;
    const what = type === undefined ? 'no entry before it' : `a ${type}`;
    throw refuse('TAR_UNSAFE_ENTRY', `a hard link to ${quoteName(target)}, which is ${what}`);
  }

  private checkPlace(entry: LayerEntry, refuse: Refuse): void {
    const row = this.paths.add(entry.path);
    if (this.typeAt(row) !== undefined) throw refuse('TAR_UNSAFE_ENTRY', 'it stands in the context twice');
    if (entry.type !== 'directory' && this.paths.hasChildren(row)) {
      throw refuse('TAR_UNSAFE_ENTRY', `it is a ${entry.type}, but entries before it lie in it`);
    }
    const folder = this.paths.parent(row);
    // Folders above it have been looked at for an entry before.
    if (this.typeAt(folder) !== 'directory') this.checkAbove(folder, refuse);
    this.types.put(row, TYPES.indexOf(entry.type));
  }

  private checkAbove(folder: number, refuse: Refuse): void {
    for (let above = folder; above !== 0; above = this.paths.parent(above)) {
      const type = this.typeAt(above);
      if (type === undefined || type === 'directory') continue;
      throw refuse('TAR_UNSAFE_PATH', `it lies in ${quoteName(this.paths.path(above))}, which is a ${type}`);
    }
  }

  private typeAt(row: number): LayerEntry['type'] | undefined {
    return TYPES[this.types.at(row)];
  }
}

const TYPES = [undefined, 'file', 'directory', 'symlink', 'hardlink', 'char', 'block', 'fifo'] as const;

function checkName(entry: LayerEntry, refuse: Refuse): void {
  if (CONTROL.test(entry.path)) throw refuse('TAR_UNSAFE_PATH', 'its name has a control character', OTHER_NAME);
  if (isLonger(entry.path, MAX_NAME_BYTES)) {
    const long = entry.path.split('/').find((part) => isLonger(part, MAX_NAME_BYTES));
    if (long !== undefined) {
      throw refuse(
        'TAR_UNSAFE_PATH',
        `the component ${quoteName(long)} is longer than ${MAX_NAME_BYTES} bytes`,
        OTHER_NAME,
      );
    }
  }
  if (isAtWhiteout(entry.path)) {
    throw refuse('TAR_UNSAFE_ENTRY', 'names beginning with ".wh." are the marks of layers, not of files', OTHER_NAME);
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
