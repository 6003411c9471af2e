/**
 * Writes a tar with the exact bytes of BuildKit (Go's archive/tar as containerd's change writer uses it): one ustar
 * block per entry, a PAX header before it only where ustar cannot say it, zeros for the device, no user names, two
 * zero blocks at the end and no padding to 10 KiB. The same members always give the same bytes.
 */
import { isAscii } from 'node:buffer';
import { AppError } from '../../errors/index.js';
import { encodeName, quoteName } from '../tree/path-name.js';
import { formatPaxRecords } from './pax-records.js';
import type { TarCuts } from '../stored/tar-cuts.js';
import {
  BLOCK_BYTES,
  checksumOf,
  FIELD,
  type Field,
  paddingOf,
  TYPE_FLAG,
  USTAR_MAGIC,
  XATTR_PREFIX,
} from './tar-format.js';
import type { LayerEntry, TarMember } from '../types.js';

export interface TarWriteOptions {
  /** Called before an entry's body is written, with the offset of its first byte in the tar. */
  readonly onEntry?: (entry: LayerEntry, bodyOffset: number) => void;
  /** Told where the tar may be cut, before the bytes there are given. */
  readonly cuts?: TarCuts;
  /** All chunks in the same memory: each is good until the next one is asked for. */
  readonly reuse?: boolean;
}

const CHUNK_BYTES = 64 * 1024;
const ZEROS = Buffer.alloc(2 * BLOCK_BYTES);

/**
 * The tar, in chunks of at most 64 KiB. Bodies are copied at once: their chunks need only be good until the next one.
 * @throws AppError TAR_UNWRITABLE for an entry no tar can hold, TAR_BODY_SIZE when a body is not as long as its entry says
 */
export async function* writeTar(
  members: AsyncIterable<TarMember> | Iterable<TarMember>,
  options: TarWriteOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  let offset = 0;
  let chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  let filled = 0;
  const whole = (): Uint8Array => {
    const full = chunk.subarray(0, filled);
    if (options.reuse !== true) chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    filled = 0;
    return full;
  };
  let rest: Uint8Array = ZEROS;
  const put = (bytes: Uint8Array): void => {
    rest = bytes;
    offset += bytes.length;
  };
  /** Moves the rest into the chunk; true when that is full, to be asked again when it is taken. */
  const isFull = (): boolean => {
    const part = rest.subarray(0, CHUNK_BYTES - filled);
    chunk.set(part, filled);
    filled += part.length;
    rest = rest.subarray(part.length);
    return filled === CHUNK_BYTES;
  };

  for await (const { entry, body } of members) {
    options.cuts?.before(entry, offset);
    put(encodeHeader(entry));
    while (isFull()) yield whole();
    options.cuts?.inside(entry, offset);
    options.onEntry?.(entry, offset);
    let written = 0;
    if (entry.sizeBytes > 0) {
      for await (const bytes of body) {
        written += bytes.length;
        if (written > entry.sizeBytes) break;
        put(bytes);
        while (isFull()) yield whole();
      }
    }
    if (written !== entry.sizeBytes) {
      const got = written > entry.sizeBytes ? 'more' : String(written);
      throw new AppError(
        'TAR_BODY_SIZE',
        `${quoteName(entry.path)} is ${entry.sizeBytes} bytes long, but ${got} came`,
        { kind: 'internal' },
      );
    }
    put(ZEROS.subarray(0, paddingOf(entry.sizeBytes)));
    while (isFull()) yield whole();
  }
  put(ZEROS);
  while (isFull()) yield whole();
  if (filled > 0) yield whole();
}

/** The header of one entry: a ustar block, with a PAX header before it if it needs one. */
export function encodeHeader(entry: LayerEntry): Buffer {
  const name = encodeName(entry.type === 'directory' ? `${entry.path}/` : entry.path);
  const link = encodeName(entry.linkTarget ?? '');
  checkWritable(entry, name, link);
  const pax = new Map<string, Uint8Array>();
  const split = splitName(name);
  const long = (bytes: Buffer): boolean => bytes.length > FIELD.name.length || !isAscii(bytes);
  if (long(name)) pax.set('path', name);
  if (long(link)) pax.set('linkpath', link);
  for (const key of ['uid', 'gid'] as const) number(pax, key, entry[key], FIELD[key]);
  number(pax, 'size', entry.sizeBytes, FIELD.size);
  number(pax, 'mtime', entry.mtimeSeconds, FIELD.mtime);
  for (const [key, value] of entry.xattrs ?? []) pax.set(XATTR_PREFIX + key, value);

  // A long ASCII name that splits at a slash needs no PAX header, if nothing else does.
  const needsPax = pax.size > (pax.has('path') && split !== undefined ? 1 : 0);
  if (!needsPax) {
    return encodeBlock(entry, split?.name ?? name, split?.prefix ?? Buffer.alloc(0), link);
  }
  const records = formatPaxRecords(pax);
  return Buffer.concat([
    encodePaxBlock(name, records.length),
    records,
    Buffer.alloc(paddingOf(records.length)),
    encodeBlock(entry, toAscii(name), Buffer.alloc(0), toAscii(link)),
  ]);
}

function number(pax: Map<string, Uint8Array>, key: string, value: number, field: Field): void {
  if (!fitsOctal(value, field)) pax.set(key, Buffer.from(String(value)));
}

function encodeBlock(entry: LayerEntry, name: Buffer, prefix: Buffer, link: Buffer): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  putName(block, FIELD.name, name);
  putOctal(block, FIELD.mode, entry.mode);
  putOctal(block, FIELD.uid, entry.uid);
  putOctal(block, FIELD.gid, entry.gid);
  putOctal(block, FIELD.size, entry.sizeBytes);
  putOctal(block, FIELD.mtime, entry.mtimeSeconds);
  block.write(TYPE_FLAG[entry.type], FIELD.typeFlag.at, 'latin1');
  putName(block, FIELD.linkName, link);
  putOctal(block, FIELD.deviceMajor, entry.device?.major ?? 0);
  putOctal(block, FIELD.deviceMinor, entry.device?.minor ?? 0);
  prefix.copy(block, FIELD.prefix.at);
  return seal(block);
}

/** The block before PAX records. Its name is only for people and for readers that know no PAX. */
function encodePaxBlock(name: Buffer, size: number): Buffer {
  const slash = name.lastIndexOf(0x2f) + 1;
  const file = name.subarray(slash);
  const directory = name.subarray(0, slash);
  const shown = toAscii(
    Buffer.concat([directory, Buffer.from(file.length > 0 ? 'PaxHeaders.0/' : 'PaxHeaders.0'), file]),
  );
  let end = Math.min(shown.length, FIELD.name.length);
  while (end > 0 && shown[end - 1] === 0x2f) end -= 1;
  const block = Buffer.alloc(BLOCK_BYTES);
  shown.copy(block, FIELD.name.at, 0, end);
  for (const field of [FIELD.mode, FIELD.uid, FIELD.gid, FIELD.mtime]) putOctal(block, field, 0);
  putOctal(block, FIELD.size, size);
  block.write('x', FIELD.typeFlag.at, 'latin1');
  return seal(block);
}

function seal(block: Buffer): Buffer {
  block.write(USTAR_MAGIC, FIELD.magic.at, 'latin1');
  const sum = checksumOf(block).unsigned.toString(8).padStart(6, '0');
  block.write(`${sum}\u0000 `, FIELD.checksum.at, 'latin1');
  return block;
}

/** Splits a long ASCII name into prefix and name at the last slash that lets both fit. */
function splitName(name: Buffer): { readonly prefix: Buffer; readonly name: Buffer } | undefined {
  if (name.length <= FIELD.name.length || !isAscii(name)) return undefined;
  let length = name.length;
  if (length > FIELD.prefix.length + 1) length = FIELD.prefix.length + 1;
  else if (name[length - 1] === 0x2f) length -= 1;
  const slash = name.subarray(0, length).lastIndexOf(0x2f);
  const rest = name.length - slash - 1;
  if (slash <= 0 || rest === 0 || rest > FIELD.name.length) return undefined;
  return { prefix: name.subarray(0, slash), name: name.subarray(slash + 1) };
}

/** What does not fit is cut: the PAX record has it whole. */
function putName(block: Buffer, field: Field, name: Buffer): void {
  name.copy(block, field.at, 0, field.length);
  if (name.length <= field.length || block[field.at + field.length - 1] !== 0x2f) return;
  // A cut name that ends in "/" would look like a folder to old readers.
  let end = field.at + field.length;
  while (end > field.at && block[end - 1] === 0x2f) end -= 1;
  block[end] = 0;
}

/** Digit by digit: to make a text of each number and write that takes longer than all the rest of a header. */
function putOctal(block: Buffer, field: Field, value: number): void {
  let rest = fitsOctal(value, field) ? value : 0;
  for (let at = field.at + field.length - 2; at >= field.at; at -= 1) {
    const eighth = Math.floor(rest / 8);
    block[at] = 0x30 + rest - eighth * 8;
    rest = eighth;
  }
}

function fitsOctal(value: number, field: Field): boolean {
  return value >= 0 && value < 8 ** (field.length - 1);
}

function toAscii(bytes: Buffer): Buffer {
  return isAscii(bytes) ? bytes : Buffer.from(bytes.filter((byte) => byte < 0x80));
}

function checkWritable(entry: LayerEntry, name: Buffer, link: Buffer): void {
  const refuse = (problem: string): AppError =>
    new AppError('TAR_UNWRITABLE', `${quoteName(entry.path)}: ${problem}`, { kind: 'internal' });
  if (entry.path === '') throw new AppError('TAR_UNWRITABLE', 'an entry has an empty path', { kind: 'internal' });
  if (name.includes(0) || link.includes(0)) throw refuse('NUL in its name or link target');
  for (const [key, value] of [
    ['mode', entry.mode],
    ['uid', entry.uid],
    ['gid', entry.gid],
    ['size', entry.sizeBytes],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < 0) throw refuse(`${key} ${value} is not a whole number from 0`);
  }
  if (entry.mode > 0o7777) throw refuse(`mode ${entry.mode.toString(8)} has more than permission bits`);
  if (!Number.isSafeInteger(entry.mtimeSeconds)) throw refuse(`mtime ${entry.mtimeSeconds} is not whole seconds`);
  if (entry.sizeBytes > 0 && entry.type !== 'file') throw refuse(`a ${entry.type} has no content`);
  const device = entry.device;
  if (
    device !== undefined &&
    !(fitsOctal(device.major, FIELD.deviceMajor) && fitsOctal(device.minor, FIELD.deviceMinor))
  ) {
    throw refuse(`device ${device.major}:${device.minor} is too large`);
  }
  for (const key of entry.xattrs?.keys() ?? []) {
    if (key === '' || /[=\0]/.test(key)) throw refuse(`xattr name ${quoteName(key)} cannot stand in a PAX record`);
  }
}
