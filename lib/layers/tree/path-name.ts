/**
 * Names inside layers. A name on Linux is bytes; here it is a string in which bytes that are not UTF-8 stand as lone
 * surrogates U+DC80 to U+DCFF (Python's "surrogateescape", PEP 383), so that every name survives reading and writing.
 * Also: how names are normalised, and the one order in which layers are written.
 */
import { isUtf8 } from 'node:buffer';

const LONE_SURROGATE = /\p{Cs}/u;

/** Bytes of a name as a string; loses nothing. */
export function decodeName(bytes: Uint8Array): string {
  if (isUtf8(bytes)) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  let text = '';
  let at = 0;
  while (at < bytes.length) {
    const length = sequenceLength(bytes[at] ?? 0);
    const sequence = bytes.subarray(at, at + length);
    if (length > 0 && sequence.length === length && isUtf8(sequence)) {
      text += Buffer.from(sequence).toString('utf8');
      at += length;
    } else {
      text += String.fromCharCode(0xdc00 + (bytes[at] ?? 0));
      at += 1;
    }
  }
  return text;
}

function sequenceLength(first: number): number {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return 2;
  if (first >= 0xe0 && first < 0xf0) return 3;
  return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

/** The bytes of a name: the reverse of `decodeName`. */
export function encodeName(name: string): Buffer {
  if (!LONE_SURROGATE.test(name)) return Buffer.from(name, 'utf8');
  const parts: Buffer[] = [];
  for (const character of name) {
    const code = character.codePointAt(0) ?? 0;
    parts.push(code >= 0xdc80 && code <= 0xdcff ? Buffer.from([code - 0xdc00]) : Buffer.from(character, 'utf8'));
  }
  return Buffer.concat(parts);
}

/** A name for an error message: quoted, control characters and foreign bytes escaped, at most 200 characters. */
export function quoteName(name: string): string {
  return JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name);
}

/**
 * Brings a name into the form of `LayerEntry.path`. `..` is clamped at the root and an absolute name is re-rooted,
 * as docker does when it unpacks; `''` is the root itself.
 */
export function normalisePath(name: string): string {
  if (isNormal(name)) return name;
  const parts: string[] = [];
  for (const part of name.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return parts.join('/');
}

function isNormal(name: string): boolean {
  return !/(^|\/)\.{0,2}(\/|$)/.test(name);
}

/** The folder a path lies in; `''` for a path at the root. */
export function parentPath(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

/** The last component. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

export function joinPath(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`;
}

/** The folders a path lies in, from the top, without the root. */
export function ancestors(path: string): string[] {
  const above: string[] = [];
  for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1))
    above.push(path.slice(0, slash));
  return above;
}

/** Whether `path` lies below `directory` (not `directory` itself); everything lies below the root `''`. */
export function isBelow(path: string, directory: string): boolean {
  return directory === '' ? path !== '' : path.startsWith(`${directory}/`);
}

/**
 * The order of a layer's entries: component by component, each by its bytes, a folder right before what is in it.
 * This is how BuildKit's walk yields them.
 */
export function comparePaths(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i += 1) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    if (x === SLASH) return -1;
    if (y === SLASH) return 1;
    // Beyond U+07FF the order of UTF-16 units and that of bytes may differ.
    return x < 0x800 && y < 0x800
      ? x - y
      : Buffer.compare(encodeName(a.slice(start(a, i))), encodeName(b.slice(start(b, i))));
  }
  return a.length - b.length;
}

const SLASH = 0x2f;

/** Steps back out of the middle of a surrogate pair. */
function start(text: string, at: number): number {
  const before = at > 0 ? text.charCodeAt(at - 1) : 0;
  return before >= 0xd800 && before < 0xdc00 ? at - 1 : at;
}
