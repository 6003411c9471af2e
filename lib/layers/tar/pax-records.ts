/** PAX extended header records, `<length> <key>=<value>\n` (POSIX pax, section "pax Header Block"). */

/** Records of one extended header; values as raw bytes, since xattrs are binary. */
export type PaxRecords = ReadonlyMap<string, Uint8Array>;

/** Sorted by key, so that the bytes do not depend on the order of insertion. */
export function formatPaxRecords(records: PaxRecords): Buffer {
  const sorted = [...records].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return Buffer.concat(sorted.map(([key, value]) => formatRecord(key, value)));
}

function formatRecord(key: string, value: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')]);
  let length = body.length + String(body.length).length;
  // The length counts its own digits, and adding them may need one digit more.
  if (String(length).length + body.length !== length) length += 1;
  return Buffer.concat([Buffer.from(String(length)), body]);
}

/** The records, or a sentence on what is wrong. An empty value removes the key, as POSIX says. */
export function parsePaxRecords(bytes: Uint8Array): Map<string, Uint8Array> | string {
  const records = new Map<string, Uint8Array>();
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (at < buffer.length) {
    const blank = buffer.indexOf(0x20, at);
    const digits = blank < 0 ? '' : buffer.toString('latin1', at, blank);
    if (!/^[1-9][0-9]{0,9}$/.test(digits)) return 'PAX record without a length';
    const end = at + Number(digits);
    if (end > buffer.length) return `PAX record of ${digits} bytes runs over the end of its header`;
    if (end <= blank + 1 || buffer[end - 1] !== 0x0a) return `PAX record of ${digits} bytes does not end in a newline`;
    const equals = buffer.indexOf(0x3d, blank + 1);
    if (equals < 0 || equals >= end || equals === blank + 1) return 'PAX record without a key';
    const key = buffer.toString('utf8', blank + 1, equals);
    if (key.includes('\u0000')) return 'PAX record with NUL in its key';
    records.set(key, Uint8Array.prototype.slice.call(buffer, equals + 1, end - 1));
    at = end;
  }
  return records;
}
