/** Tars made by hand, block by block, so that each can be wrong in one way. */
export interface RawHeader {
  readonly name?: string | Uint8Array;
  /** Type flag. */
  readonly type?: string;
  readonly link?: string;
  /** The size field as it stands; octal digits or raw bytes. */
  readonly size?: number | Uint8Array | string;
  readonly mode?: string;
  readonly uid?: string | Uint8Array;
  readonly mtime?: string | Uint8Array;
  readonly magic?: string;
  readonly prefix?: string;
  readonly checksum?: string;
}

export function block(header: RawHeader): Buffer {
  const bytes = Buffer.alloc(512);
  const put = (value: string | Uint8Array, at: number, length: number): void => {
    Buffer.from(value as string).copy(bytes, at, 0, length);
  };
  put(header.name ?? 'file', 0, 100);
  put(header.mode ?? '0000644\0', 100, 8);
  put(header.uid ?? '0000000\0', 108, 8);
  put('0000000\0', 116, 8);
  const size = header.size ?? 0;
  put(typeof size === 'number' ? `${size.toString(8).padStart(11, '0')}\0` : size, 124, 12);
  put(header.mtime ?? '00000000000\0', 136, 12);
  put('        ', 148, 8);
  put(header.type ?? '0', 156, 1);
  put(header.link ?? '', 157, 100);
  put(header.magic ?? 'ustar\x0000', 257, 8);
  put(header.prefix ?? '', 345, 155);
  let sum = 0;
  for (const byte of bytes) sum += byte;
  put(header.checksum ?? `${sum.toString(8).padStart(6, '0')}\0 `, 148, 8);
  return bytes;
}

/** A header with its content, padded. */
export function entry(header: RawHeader, content: string | Uint8Array = ''): Buffer {
  const bytes = Buffer.from(content as string);
  const padding = Buffer.alloc((512 - (bytes.length % 512)) % 512);
  return Buffer.concat([block({ size: bytes.length, ...header }), bytes, padding]);
}

/** A PAX header with these records as they stand. */
export function pax(records: string | Readonly<Record<string, string>>, type = 'x'): Buffer {
  const text =
    typeof records === 'string'
      ? records
      : Object.entries(records)
          .map(([key, value]) => record(key, value))
          .join('');
  return entry({ name: 'PaxHeaders.0/x', type }, text);
}

function record(key: string, value: string): string {
  const body = ` ${key}=${value}\n`;
  const bytes = Buffer.byteLength(body);
  let length = bytes + String(bytes).length;
  if (String(length).length + bytes !== length) length += 1;
  return `${length}${body}`;
}

/** A GNU long name (`L`) or long link (`K`). */
export function gnuLong(type: 'L' | 'K', text: string): Buffer {
  return entry({ name: '././@LongLink', type, magic: 'ustar  \0' }, `${text}\0`);
}

export const END = Buffer.alloc(1024);

export function archive(...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([...parts, END]);
}
