/** What the tar writer and the tar reader share: the fields of a header block (POSIX ustar), type flags, checksum. */
import type { EntryType } from '../types.js';

export const BLOCK_BYTES = 512;

export interface Field {
  readonly at: number;
  readonly length: number;
}

export const FIELD = {
  name: { at: 0, length: 100 },
  mode: { at: 100, length: 8 },
  uid: { at: 108, length: 8 },
  gid: { at: 116, length: 8 },
  size: { at: 124, length: 12 },
  mtime: { at: 136, length: 12 },
  checksum: { at: 148, length: 8 },
  typeFlag: { at: 156, length: 1 },
  linkName: { at: 157, length: 100 },
  magic: { at: 257, length: 8 },
  userName: { at: 265, length: 32 },
  groupName: { at: 297, length: 32 },
  deviceMajor: { at: 329, length: 8 },
  deviceMinor: { at: 337, length: 8 },
  prefix: { at: 345, length: 155 },
} as const satisfies Record<string, Field>;

export const USTAR_MAGIC = 'ustar\u000000';
export const GNU_MAGIC = 'ustar  \u0000';

export const TYPE_FLAG: Readonly<Record<EntryType, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  char: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

export const XATTR_PREFIX = 'SCHILY.xattr.';

/** Bytes from the end of `size` bytes of content to the next block. */
export function paddingOf(size: number): number {
  return (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES;
}

/** Sum of all bytes, with the checksum field itself taken as blanks. */
export function checksumOf(block: Uint8Array): { readonly unsigned: number; readonly signed: number } {
  let unsigned = 0;
  let high = 0;
  for (let i = 0; i < BLOCK_BYTES; i += 1) {
    const inChecksum = i >= FIELD.checksum.at && i < FIELD.checksum.at + FIELD.checksum.length;
    const byte = inChecksum ? 0x20 : (block[i] ?? 0);
    unsigned += byte;
    if (byte >= 0x80) high += 1;
  }
  // Some old writers summed signed characters.
  return { unsigned, signed: unsigned - high * 256 };
}
