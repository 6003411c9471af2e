/** Makes an entry of a tar's header and of what extended headers said about it; checks names, links and sizes. */
import type { AppError } from '../../errors/index.js';
import { decodeName, normalisePath } from '../tree/path-name.js';
import type { PaxRecords } from './pax-records.js';
import { type TarErrorCode, tarError } from './tar-errors.js';
import { XATTR_PREFIX } from './tar-format.js';
import type { RawHeader } from './tar-header.js';
import type { TarLimits } from './tar-limits.js';
import type { EntryType, LayerEntry } from '../types.js';

/** What extended headers said about an entry. */
export interface Extended {
  /** Global records and those of the entry. */
  readonly pax: PaxRecords;
  /** GNU `L`. */
  readonly longName?: string;
  /** GNU `K`. */
  readonly longLink?: string;
}

export const SPARSE_HINT = 'make the tar without --sparse';
const RELATIVE_HINT = 'a relative name below the root of the tar';

export function paxText(pax: PaxRecords, key: string): string | undefined {
  const value = pax.get(key);
  return value === undefined || value.length === 0 ? undefined : decodeName(value);
}

export class EntryMaker {
  private at = 0;
  private name: string | undefined;

  constructor(
    private readonly limits: TarLimits,
    private readonly strict: boolean,
  ) {}

  /** @param offset of the entry, for messages */
  make(header: RawHeader, { pax, longName, longLink }: Extended, offset: number): LayerEntry {
    const name = paxText(pax, 'path') ?? longName ?? header.name;
    this.at = offset;
    this.name = name;
    const type = this.type(header.typeFlag, name);
    const hasLink = type === 'symlink' || type === 'hardlink';
    const link = hasLink ? (paxText(pax, 'linkpath') ?? longLink ?? header.linkName) : undefined;
    // Only files have content on tape, whatever the size field of another type says.
    const sizeBytes = type === 'file' ? (this.paxNumber(pax, 'size') ?? header.size) : 0;
    const xattrs = new Map<string, Uint8Array>();
    for (const [key, value] of pax) {
      if (key.startsWith(XATTR_PREFIX) && key.length > XATTR_PREFIX.length && value.length > 0) {
        xattrs.set(key.slice(XATTR_PREFIX.length), value);
      }
    }
    return {
      path: this.path(name, type),
      type,
      mode: header.mode,
      uid: this.paxNumber(pax, 'uid') ?? header.uid,
      gid: this.paxNumber(pax, 'gid') ?? header.gid,
      mtimeSeconds: this.paxTime(pax) ?? header.mtime,
      sizeBytes,
      ...(link === undefined ? {} : { linkTarget: this.linkTarget(link, type) }),
      ...(type === 'char' || type === 'block'
        ? { device: { major: header.deviceMajor, minor: header.deviceMinor } }
        : {}),
      ...(xattrs.size > 0 ? { xattrs } : {}),
    };
  }

  private type(flag: string, name: string): EntryType {
    switch (flag) {
      case '0':
      case '\u0000':
      case '7':
        // Old v7 has no flag for folders.
        return flag !== '7' && name.endsWith('/') ? 'directory' : 'file';
      case '1':
        return 'hardlink';
      case '2':
        return 'symlink';
      case '3':
        return 'char';
      case '4':
        return 'block';
      case '5':
        return 'directory';
      case '6':
        return 'fifo';
      case 'S':
        throw this.error('TAR_UNSUPPORTED', 'sparse files are not supported', SPARSE_HINT);
      default:
        throw this.error(
          'TAR_UNSUPPORTED',
          `type flag ${JSON.stringify(flag)} is not supported`,
          'files, folders, links, devices and fifos',
        );
    }
  }

  private path(name: string, type: EntryType): string {
    this.checkText(name, 'name');
    if (this.strict) this.checkStrict(name, 'its name');
    const path = normalisePath(name);
    if (path === '' && type !== 'directory') throw this.error('TAR_INVALID', `a ${type} without a name`);
    const depth = path.split('/').length;
    if (depth > this.limits.depth) {
      throw this.error('TAR_TOO_LARGE', `the name has ${depth} components; at most ${this.limits.depth}`);
    }
    return path;
  }

  private linkTarget(link: string, type: EntryType): string {
    this.checkText(link, 'link target');
    if (link === '') throw this.error('TAR_INVALID', `a ${type} without a target`);
    if (type === 'symlink') return link;
    if (this.strict) this.checkStrict(link, 'its link target');
    const target = normalisePath(link);
    if (target === '') throw this.error('TAR_INVALID', 'a hard link to the root');
    return target;
  }

  private checkText(text: string, what: string): void {
    if (text.includes('\u0000')) throw this.error('TAR_UNSAFE_PATH', `NUL in its ${what}`);
    const bytes = Buffer.byteLength(text);
    if (bytes > this.limits.pathBytes) {
      throw this.error('TAR_TOO_LARGE', `the ${what} has ${bytes} bytes; at most ${this.limits.pathBytes}`);
    }
  }

  private checkStrict(name: string, what: string): void {
    if (name === '') throw this.error('TAR_UNSAFE_PATH', `${what} is empty`);
    if (name.startsWith('/')) throw this.error('TAR_UNSAFE_PATH', `${what} is absolute`, RELATIVE_HINT);
    if (name.split('/').includes('..'))
      throw this.error('TAR_UNSAFE_PATH', `${what} has a ".." component`, RELATIVE_HINT);
  }

  private paxNumber(pax: PaxRecords, key: string): number | undefined {
    const text = paxText(pax, key);
    if (text === undefined) return undefined;
    const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(value))
      throw this.error('TAR_INVALID', `PAX ${key} is ${JSON.stringify(text.slice(0, 40))}`);
    return value;
  }

  /** Fractions of a second are cut, downward. */
  private paxTime(pax: PaxRecords): number | undefined {
    const text = paxText(pax, 'mtime');
    if (text === undefined) return undefined;
    const match = /^(-?[0-9]{1,15})(?:\.([0-9]*))?$/.exec(text);
    if (match === null) throw this.error('TAR_INVALID', `PAX mtime is ${JSON.stringify(text.slice(0, 40))}`);
    const fraction = /[1-9]/.test(match[2] ?? '');
    // Not by parsing all of it as one number: a double has too few digits for nanoseconds.
    return Number(match[1]) - (text.startsWith('-') && fraction ? 1 : 0);
  }

  private error(code: TarErrorCode, problem: string, hint?: string): AppError {
    return tarError(code, { offset: this.at, name: this.name }, problem, hint);
  }
}
