/** As much of DER (ITU-T X.690) as a certificate is made of. */

export type Der = Buffer;

export function sequence(...parts: readonly Der[]): Der {
  return tagged(0x30, ...parts);
}

export function setOf(...parts: readonly Der[]): Der {
  return tagged(0x31, ...parts);
}

/** A positive number as its bytes. */
export function integer(bytes: Uint8Array): Der {
  const first = bytes.findIndex((byte) => byte !== 0);
  const digits = first === -1 ? Buffer.from([0]) : Buffer.from(bytes.subarray(first));
  // The highest bit is the sign.
  const isNegative = ((digits[0] ?? 0) & 0x80) !== 0;
  return tagged(0x02, isNegative ? Buffer.concat([Buffer.from([0]), digits]) : digits);
}

export const TRUE: Der = Buffer.from([0x01, 0x01, 0xff]);

/** @param unusedBits of the last byte */
export function bitString(bytes: Uint8Array, unusedBits = 0): Der {
  return tagged(0x03, Buffer.from([unusedBits]), Buffer.from(bytes));
}

export function octetString(bytes: Uint8Array): Der {
  return tagged(0x04, Buffer.from(bytes));
}

export function utf8String(text: string): Der {
  return tagged(0x0c, Buffer.from(text));
}

/** Until 2049, as certificates have it. */
export function utcTime(timeMs: number): Der {
  const digits = new Date(timeMs).toISOString().replace(/\D/g, '').slice(2, 14);
  return tagged(0x17, Buffer.from(`${digits}Z`));
}

/** @param text as `2.5.29.17` */
export function objectId(text: string): Der {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  return tagged(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

/** `[number] EXPLICIT`. */
export function explicit(number: number, part: Der): Der {
  return tagged(0xa0 | number, part);
}

/** `[number] IMPLICIT` of something without parts. */
export function implicit(number: number, bytes: Uint8Array): Der {
  return tagged(0x80 | number, Buffer.from(bytes));
}

function tagged(tag: number, ...parts: readonly Buffer[]): Der {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag, ...lengthOf(body.length)]), body]);
}

function lengthOf(length: number): readonly number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest >>>= 8) bytes.unshift(rest & 0xff);
  return [0x80 | bytes.length, ...bytes];
}

function base128(number: number): readonly number[] {
  const bytes = [number & 0x7f];
  for (let rest = number >>> 7; rest > 0; rest >>>= 7) bytes.unshift(0x80 | (rest & 0x7f));
  return bytes;
}
