/**
 * Reads a tar as a stream of entries: ustar, PAX (local and global), GNU (long names, base-256) and old v7. Links are
 * data here; nothing is resolved and nothing touches a disk. In mode `strict` names must already be clean (build
 * contexts); in mode `layer` an absolute or climbing name is re-rooted, as docker does when it unpacks a layer.
 */
import type { AppError } from '../../errors/index.js';
import type { ByteSource } from '../../store/index.js';
import { ByteCursor } from './byte-cursor.js';
import { decodeName } from '../tree/path-name.js';
import { parsePaxRecords } from './pax-records.js';
import { EntryMaker, type Extended, paxText, SPARSE_HINT } from './tar-entry.js';
import { type TarErrorCode, tarError, type TarPlace } from './tar-errors.js';
import { BLOCK_BYTES, paddingOf } from './tar-format.js';
import { decodeHeader, isZeroBlock, type RawHeader } from './tar-header.js';
import { LAYER_LIMITS, type TarLimits } from './tar-limits.js';
import type { LayerEntry, TarMember } from '../types.js';

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

const GLOBAL_REFUSED = ['path', 'linkpath', 'size'];

class HeaderReader {
  private globals = new Map<string, Uint8Array>();
  private at = 0;
  private name: string | undefined;
  private readonly entries: EntryMaker;
  /** Bytes of extended headers before the next entry, and of all global ones. */
  private readonly held = { local: 0, global: 0 };

  constructor(
    private readonly cursor: ByteCursor,
    private readonly limits: TarLimits,
    private readonly strict: boolean,
  ) {
    this.entries = new EntryMaker(limits, strict);
  }

  /** The next entry, with the cursor at its content; undefined at the end of the archive. */
  async next(): Promise<{ readonly entry: LayerEntry; readonly offset: number } | undefined> {
    let extended: Extended = { pax: new Map() };
    this.at = this.cursor.offset;
    this.name = undefined;
    this.held.local = 0;
    for (let first = true; ; first = false) {
      const header = await this.block(first);
      if (header === undefined) return undefined;
      switch (header.typeFlag) {
        case 'x':
          extended = { ...extended, pax: new Map([...extended.pax, ...(await this.paxRecords(header))]) };
          this.name = paxText(extended.pax, 'path') ?? this.name;
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

  private entry(header: RawHeader, { pax, ...more }: Extended): LayerEntry {
    const all = this.globals.size === 0 ? pax : new Map([...this.globals, ...pax]);
    const entry = this.entries.make(header, { ...more, pax: all }, this.at);
    this.name = entry.path;
    this.checkTotal(entry.sizeBytes);
    return entry;
  }

  private async content(header: RawHeader): Promise<Buffer> {
    const scope = header.typeFlag === 'g' ? 'global' : 'local';
    this.held[scope] += header.size;
    if (this.held[scope] > this.limits.headerBytes) {
      throw this.error(
        'TAR_TOO_LARGE',
        `an extended header of ${header.size} bytes; at most ${this.limits.headerBytes}, all before one entry together`,
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

  private checkTotal(more: number): void {
    if (this.cursor.offset + more > this.limits.totalBytes) {
      throw this.error('TAR_TOO_LARGE', `the tar has more than ${this.limits.totalBytes} bytes`);
    }
  }

  private error(code: TarErrorCode, problem: string, hint?: string): AppError {
    return tarError(code, { offset: this.at, name: this.name }, problem, hint);
  }
}
