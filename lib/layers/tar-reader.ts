/**
 * Reads a tar as a stream of entries: ustar, PAX (local and global), GNU (long names, base-256) and old v7. Links are
 * data here; nothing is resolved and nothing touches a disk. In mode `strict` names must already be clean (build
 * contexts); in mode `layer` an absolute or climbing name is re-rooted, as docker does when it unpacks a layer.
 */
import type { AppError } from '../errors/index.js';
import type { ByteSource } from '../store/index.js';
import { ByteCursor } from './byte-cursor.js';
import { decodeName, normalisePath } from './path-name.js';
import { parsePaxRecords } from './pax-records.js';
import { type TarErrorCode, tarError, type TarPlace } from './tar-errors.js';
import { BLOCK_BYTES, paddingOf, XATTR_PREFIX } from './tar-format.js';
import { decodeHeader, isZeroBlock, type RawHeader } from './tar-header.js';
import { LAYER_LIMITS, type TarLimits } from './tar-limits.js';
import type { EntryType, LayerEntry, TarMember } from './types.js';

export interface TarReadOptions {
  /** `layer` when absent. */
  readonly mode?: 'layer' | 'strict';
  /** LAYER_LIMITS for what is absent. */
  readonly limits?: Partial<TarLimits>;
}

/** A member and where it stands in the uncompressed tar, in bytes. */
export interface PlacedMember extends TarMember {
  /** Of the entry's first header block. */
  readonly offset: number;
  /** Of the first byte of content. */
  readonly bodyOffset: number;
}

/**
 * The entries in the order of the tar; the root's own entry (`./`) is left out. A body that is not read to its end is
 * passed over. The source is read to its end, also behind the end of the archive.
 * @throws AppError TAR_INVALID, TAR_UNSAFE_PATH (strict), TAR_TOO_LARGE, TAR_UNSUPPORTED, with entry name and offset
 */
export async function* readTar(
  source: ByteSource,
  options: TarReadOptions = {},
): AsyncGenerator<PlacedMember, void, undefined> {
  const limits = { ...LAYER_LIMITS, ...options.limits };
  const strict = options.mode === 'strict';
  const cursor = new ByteCursor(source);
  try {
    const reader = new HeaderReader(cursor, limits, strict);
    for (let count = 1; ; count += 1) {
      const header = await reader.next();
      if (header === undefined) break;
      const { entry, offset } = header;
      if (count > limits.entries) {
        throw tarError('TAR_TOO_LARGE', { offset, name: entry.path }, `there are more than ${limits.entries} entries`);
      }
      const body = new Body(cursor, entry.sizeBytes, { offset, name: entry.path });
      if (entry.path !== '') yield { entry, body: body.read(), offset, bodyOffset: cursor.offset };
      await body.finish();
    }
    await reader.passTrailer();
  } finally {
    await cursor.close();
  }
}

/** The content of one entry; whatever the consumer leaves is passed over by `finish`. */
class Body {
  private left: number;

  constructor(
    private readonly cursor: ByteCursor,
    private readonly size: number,
    private readonly place: TarPlace,
  ) {
    this.left = size;
  }

  async *read(): AsyncGenerator<Uint8Array, void, undefined> {
    while (this.left > 0) {
      const chunk = await this.cursor.some(this.left);
      if (chunk === undefined) throw this.truncated();
      this.left -= chunk.length;
      yield chunk;
    }
  }

  async finish(): Promise<void> {
    const rest = this.left + paddingOf(this.size);
    this.left = 0;
    if ((await this.cursor.skip(rest)) < rest) throw this.truncated();
  }

  private truncated(): AppError {
    return tarError('TAR_INVALID', this.place, `the tar ends inside the ${this.size} bytes of this entry`);
  }
}

/** What extended headers said about the next entry. */
interface Extended {
  readonly pax: ReadonlyMap<string, Uint8Array>;
  readonly longName?: string;
  readonly longLink?: string;
}

const GLOBAL_REFUSED = ['path', 'linkpath', 'size'];

class HeaderReader {
  private globals = new Map<string, Uint8Array>();
  private at = 0;
  private name: string | undefined;

  constructor(
    private readonly cursor: ByteCursor,
    private readonly limits: TarLimits,
    private readonly strict: boolean,
  ) {}

  /** The next entry, with the cursor at its content; undefined at the end of the archive. */
  async next(): Promise<{ readonly entry: LayerEntry; readonly offset: number } | undefined> {
    let extended: Extended = { pax: new Map() };
    this.at = this.cursor.offset;
    this.name = undefined;
    for (let first = true; ; first = false) {
      const header = await this.block(first);
      if (header === undefined) return undefined;
      switch (header.typeFlag) {
        case 'x':
          extended = { ...extended, pax: new Map([...extended.pax, ...(await this.paxRecords(header))]) };
          this.name = this.paxText(extended.pax, 'path') ?? this.name;
          break;
        case 'g':
          await this.takeGlobals(header);
          break;
        case 'L':
          extended = { ...extended, longName: await this.longText(header) };
          this.name = extended.longName;
          break;
        case 'K':
          extended = { ...extended, longLink: await this.longText(header) };
          break;
        default:
          return { entry: this.entry(header, extended), offset: this.at };
      }
    }
  }

  /** Reads what stands behind the end of the archive, so that a digest of the source covers all of it. */
  async passTrailer(): Promise<void> {
    for (;;) {
      if ((await this.cursor.some(1024 * 1024)) === undefined) return;
      this.checkTotal(0);
    }
  }

  private async block(first: boolean): Promise<RawHeader | undefined> {
    const at = this.cursor.offset;
    const block = await this.cursor.take(BLOCK_BYTES);
    if (block.length === 0 && first && !this.strict) return undefined;
    if (block.length < BLOCK_BYTES) {
      throw this.error(
        'TAR_INVALID',
        block.length === 0 ? 'the tar ends without its two zero blocks' : 'the tar ends inside a header',
      );
    }
    if (isZeroBlock(block)) {
      if (!first) throw this.error('TAR_INVALID', 'an extended header is followed by no entry');
      const second = await this.cursor.take(BLOCK_BYTES);
      if (second.length > 0 && !isZeroBlock(second)) {
        throw this.error('TAR_INVALID', 'a single zero block stands between entries');
      }
      if (second.length < BLOCK_BYTES && this.strict) {
        throw this.error('TAR_INVALID', 'the tar ends without its two zero blocks');
      }
      return undefined;
    }
    const header = decodeHeader(block);
    if (typeof header === 'string') throw this.error('TAR_INVALID', `${header} (block at byte ${at})`);
    this.name ??= header.name;
    return header;
  }

  private async content(header: RawHeader): Promise<Buffer> {
    if (header.size > this.limits.headerBytes) {
      throw this.error(
        'TAR_TOO_LARGE',
        `an extended header of ${header.size} bytes; at most ${this.limits.headerBytes}`,
      );
    }
    this.checkTotal(header.size);
    const bytes = await this.cursor.take(header.size);
    const padding = paddingOf(header.size);
    if (bytes.length < header.size || (await this.cursor.skip(padding)) < padding) {
      throw this.error('TAR_INVALID', 'the tar ends inside an extended header');
    }
    return bytes;
  }

  private async paxRecords(header: RawHeader): Promise<Map<string, Uint8Array>> {
    const records = parsePaxRecords(await this.content(header));
    if (typeof records === 'string') throw this.error('TAR_INVALID', records);
    for (const key of records.keys()) {
      if (key.startsWith('GNU.sparse.'))
        throw this.error('TAR_UNSUPPORTED', 'sparse files are not supported', SPARSE_HINT);
    }
    return records;
  }

  private async takeGlobals(header: RawHeader): Promise<void> {
    const records = await this.paxRecords(header);
    for (const key of GLOBAL_REFUSED) {
      if (records.has(key)) throw this.error('TAR_INVALID', `a global header sets ${key} for every entry`);
    }
    this.globals = new Map([...this.globals, ...records]);
    this.name = undefined;
  }

  private async longText(header: RawHeader): Promise<string> {
    const bytes = await this.content(header);
    const end = bytes.indexOf(0);
    return decodeName(end < 0 ? bytes : bytes.subarray(0, end));
  }

  private entry(header: RawHeader, extended: Extended): LayerEntry {
    const pax = new Map([...this.globals, ...extended.pax]);
    const name = this.paxText(pax, 'path') ?? extended.longName ?? header.name;
    this.name = name;
    const type = this.type(header.typeFlag, name);
    const hasLink = type === 'symlink' || type === 'hardlink';
    const link = hasLink ? (this.paxText(pax, 'linkpath') ?? extended.longLink ?? header.linkName) : undefined;
    // Only files have content on tape, whatever the size field of another type says.
    const sizeBytes = type === 'file' ? (this.paxNumber(pax, 'size') ?? header.size) : 0;
    this.checkTotal(sizeBytes);
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

  private checkTotal(more: number): void {
    if (this.cursor.offset + more > this.limits.totalBytes) {
      throw this.error('TAR_TOO_LARGE', `the tar has more than ${this.limits.totalBytes} bytes`);
    }
  }

  private paxText(pax: ReadonlyMap<string, Uint8Array>, key: string): string | undefined {
    const value = pax.get(key);
    return value === undefined || value.length === 0 ? undefined : decodeName(value);
  }

  private paxNumber(pax: ReadonlyMap<string, Uint8Array>, key: string): number | undefined {
    const text = this.paxText(pax, key);
    if (text === undefined) return undefined;
    const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(value))
      throw this.error('TAR_INVALID', `PAX ${key} is ${JSON.stringify(text.slice(0, 40))}`);
    return value;
  }

  /** Fractions of a second are cut, downward. */
  private paxTime(pax: ReadonlyMap<string, Uint8Array>): number | undefined {
    const text = this.paxText(pax, 'mtime');
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

const RELATIVE_HINT = 'a relative name below the root of the tar';
const SPARSE_HINT = 'make the tar without --sparse';
