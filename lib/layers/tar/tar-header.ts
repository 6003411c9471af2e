/** Decodes one header block: ustar, GNU, or old v7, told apart by the magic. Knows nothing of what stands around it. */
import { decodeName } from '../tree/path-name.js';
import { BLOCK_BYTES, checksumOf, FIELD, type Field, GNU_MAGIC } from './tar-format.js';

export interface RawHeader {
  readonly typeFlag: string;
  readonly name: string;
  readonly linkName: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: number;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
}

/** The header, or a sentence on what is wrong with it. */
export function decodeHeader(block: Buffer): RawHeader | string {
  const checksum = octal(block, FIELD.checksum);
  const sums = checksumOf(block);
  if (checksum !== sums.unsigned && checksum !== sums.signed) return 'the header checksum is wrong';
  const magic = block.toString('latin1', FIELD.magic.at, FIELD.magic.at + FIELD.magic.length);
  const isUstar = magic.startsWith('ustar\u0000');
  const isGnu = magic === GNU_MAGIC;
  // GNU keeps times where ustar has the prefix.
  const prefix = isUstar ? text(block, FIELD.prefix) : '';
  const name = text(block, FIELD.name);
  const numbers: number[] = [];
  for (const key of ['mode', 'uid', 'gid', 'size', 'mtime'] as const) {
    const value = numeric(block, FIELD[key]);
    if (value === undefined) return `the field ${key} is not a number`;
    if (value < 0 && key !== 'mtime') return `the field ${key} is negative`;
    numbers.push(value);
  }
  const [mode = 0, uid = 0, gid = 0, size = 0, mtime = 0] = numbers;
  return {
    typeFlag: String.fromCharCode(block[FIELD.typeFlag.at] ?? 0),
    name: prefix === '' ? name : `${prefix}/${name}`,
    linkName: text(block, FIELD.linkName),
    mode: mode % 0o10000,
    uid,
    gid,
    size,
    mtime,
    deviceMajor: isUstar || isGnu ? (numeric(block, FIELD.deviceMajor) ?? 0) : 0,
    deviceMinor: isUstar || isGnu ? (numeric(block, FIELD.deviceMinor) ?? 0) : 0,
  };
}

export function isZeroBlock(block: Buffer): boolean {
  return block.equals(ZERO_BLOCK);
}

const ZERO_BLOCK = Buffer.alloc(BLOCK_BYTES);

function text(block: Buffer, field: Field): string {
  const bytes = block.subarray(field.at, field.at + field.length);
  const end = bytes.indexOf(0);
  return decodeName(end < 0 ? bytes : bytes.subarray(0, end));
}

/** Octal digits, or GNU base-256 when the first bit is set. Undefined when neither, or too large to count with. */
function numeric(block: Buffer, field: Field): number | undefined {
  return ((block[field.at] ?? 0) & 0x80) === 0 ? octal(block, field) : base256(block, field);
}

function octal(block: Buffer, field: Field): number | undefined {
  const digits = block
    .toString('latin1', field.at, field.at + field.length)
    .replace(/^[ \0]+/, '')
    .replace(/[ \0].*$/s, '');
  if (digits === '') return 0;
  return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : undefined;
}

function base256(block: Buffer, field: Field): number | undefined {
  const first = block[field.at] ?? 0;
  const negative = (first & 0x40) !== 0;
  let value = BigInt(negative ? first | ~0x7f : first & 0x7f);
  for (let i = field.at + 1; i < field.at + field.length; i += 1) value = value * 256n + BigInt(block[i] ?? 0);
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : undefined;
}
