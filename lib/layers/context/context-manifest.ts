/**
 * A build context as a list of its files: each entry with what it is and the digest of its content, one JSON array a
 * line. A client that sends this first sends only those contents that are not there yet. The digest of the list is the
 * context's own. Owners are not in it: everything of a context belongs to root.
 */
import { AppError } from '../../errors/index.js';
import type { ByteSource } from '../../store/index.js';
import { ContextRules, isLonger } from './context-rules.js';
import { copyEntry, type Unfinished } from '../tree/copy-entry.js';
import { lineBatches, type LineProblems } from '../lines.js';
import { EntryList } from '../tree/entry-list.js';
import { normalisePath, quoteName } from '../tree/path-name.js';
import { TAR_ERROR_KIND, type TarErrorCode } from '../tar/tar-errors.js';
import { CONTEXT_LIMITS, type TarLimits } from '../tar/tar-limits.js';
import type { EntryType, LayerEntry } from '../types.js';

export interface ManifestEntry extends LayerEntry {
  /** SHA-256 (hex) of a file's content; of nothing else. */
  readonly sha256?: string;
}

/** The entry of a file with the digest of its content. */
export function withContent(entry: LayerEntry, sha256: string): ManifestEntry {
  const copy: Unfinished<ManifestEntry> = copyEntry(entry);
  copy.sha256 = sha256;
  return copy;
}

/** First line of every list. */
const HEAD = '{"format":"wharf.context.v1"}\n';
const LINES_AT_ONCE = 2000;
const MAX_LINE_BYTES = 64 * 1024;
const FIRST_LINE = `${HEAD.trim()} as first line`;

/** Whether bytes begin as a list does; `head` needs no more than 64 of them. */
export function isContextManifest(head: Uint8Array): boolean {
  return Buffer.from(head.subarray(0, HEAD.length)).toString('latin1') === HEAD;
}

/** The list of these entries, in their order; a hard link must come after what it points at. */
export function* encodeContextManifest(entries: Iterable<ManifestEntry>): Generator<Uint8Array, void, undefined> {
  let lines = HEAD;
  let count = 0;
  for (const entry of entries) {
    lines += `${JSON.stringify(toLine(entry))}\n`;
    count += 1;
    if (count % LINES_AT_ONCE !== 0) continue;
    yield Buffer.from(lines);
    lines = '';
  }
  if (lines !== '') yield Buffer.from(lines);
}

function toLine(entry: ManifestEntry): readonly unknown[] {
  const { path, mode, mtimeSeconds, linkTarget } = entry;
  switch (entry.type) {
    case 'file':
      return ['f', path, mode, mtimeSeconds, entry.sizeBytes, entry.sha256];
    case 'directory':
      return ['d', path, mode, mtimeSeconds];
    case 'symlink':
      return ['l', path, mtimeSeconds, linkTarget];
    case 'hardlink':
      return ['h', path, linkTarget];
    case 'char':
    case 'block':
    case 'fifo':
      throw new AppError('INTERNAL', `a ${entry.type} in a build context`, { kind: 'internal' });
    default:
      return entry.type satisfies never;
  }
}

/**
 * The list as a stranger sent it, held to the same rules as the entries of a tar.
 * @throws AppError CONTEXT_LIST_INVALID, TAR_UNSAFE_PATH, TAR_UNSAFE_ENTRY, TAR_TOO_LARGE, each with line and entry
 */
export async function readContextManifest(source: ByteSource, limits: TarLimits = CONTEXT_LIMITS): Promise<EntryList> {
  const list = new EntryList();
  const rules = new ContextRules(list.paths);
  let totalBytes = 0;
  await readCheckedManifest(source, (entry, line) => {
    const refuse = (code: TarErrorCode, problem: string, hint?: string): AppError =>
      new AppError(code, `context: entry ${quoteName(entry.path)} in line ${line}: ${problem}`, {
        kind: TAR_ERROR_KIND[code],
        details: { line, entry: entry.path },
        ...(hint === undefined ? {} : { hint }),
      });
    if (line - 1 > limits.entries) throw refuse('TAR_TOO_LARGE', `there are more than ${limits.entries} entries`);
    totalBytes += entry.sizeBytes;
    if (totalBytes > limits.totalBytes) {
      throw refuse('TAR_TOO_LARGE', `the files have more than ${limits.totalBytes} bytes`);
    }
    checkPath(entry.path, limits, refuse);
    if (entry.linkTarget !== undefined) checkText(entry.linkTarget, 'link target', limits, refuse);
    rules.check(entry, refuse);
    list.push(entry);
  });
  return list;
}

/**
 * The entries of a list that was held to the rules before, one after the other; none of them is kept.
 * @throws AppError CONTEXT_LIST_INVALID
 */
export async function readCheckedManifest(
  source: ByteSource,
  onEntry: (entry: ManifestEntry, line: number) => void,
): Promise<void> {
  let line = 0;
  const problems: LineProblems = {
    cut: () => invalid(line + 1, 'it is cut short'),
    long: {
      maxBytes: MAX_LINE_BYTES,
      error: () => invalid(line + 1, `it has more than ${MAX_LINE_BYTES} bytes`),
    },
  };
  for await (const texts of lineBatches(source, problems)) {
    for (const text of texts) {
      line += 1;
      if (line > 1) onEntry(fromLine(parse(text, line), line), line);
      else if (`${text}\n` !== HEAD) throw invalid(1, `it begins with ${quoteName(text)}`, FIRST_LINE);
    }
  }
  if (line === 0) throw invalid(1, 'it is empty', FIRST_LINE);
}

function checkPath(path: string, limits: TarLimits, refuse: (code: TarErrorCode, problem: string) => AppError): void {
  checkText(path, 'name', limits, refuse);
  if (path === '' || normalisePath(path) !== path) {
    throw refuse('TAR_UNSAFE_PATH', 'its name is not a plain relative one, without "." and ".." and extra slashes');
  }
  const depth = path.split('/').length;
  if (depth > limits.depth) {
    throw refuse('TAR_TOO_LARGE', `the name has ${depth} components; at most ${limits.depth}`);
  }
}

function checkText(
  text: string,
  what: string,
  limits: TarLimits,
  refuse: (code: TarErrorCode, problem: string) => AppError,
): void {
  if (isLonger(text, limits.pathBytes)) {
    const bytes = Buffer.byteLength(text);
    throw refuse('TAR_TOO_LARGE', `the ${what} has ${bytes} bytes; at most ${limits.pathBytes}`);
  }
}

function fromLine(values: readonly unknown[], line: number): ManifestEntry {
  const [kind, path] = values;
  if (typeof path !== 'string') throw invalid(line, 'the second value is no path');
  const make = (type: EntryType, mode: number, mtimeSeconds: number): Unfinished<ManifestEntry> => ({
    path,
    type,
    mode,
    uid: 0,
    gid: 0,
    mtimeSeconds,
    sizeBytes: 0,
  });
  const number = (at: number, what: string, max = Number.MAX_SAFE_INTEGER): number => {
    const value = values[at];
    if (Number.isSafeInteger(value) && Math.abs(value as number) <= max && (what === 'mtime' || (value as number) >= 0))
      return value as number;
    throw invalid(line, `${quoteName(path)}: ${what} is ${JSON.stringify(value) ?? 'not there'}`, NUMBERS);
  };
  const target = (at: number): string => {
    const value = values[at];
    if (typeof value === 'string' && value !== '') return value;
    throw invalid(line, `${quoteName(path)}: the link has no target`);
  };
  switch (kind) {
    case 'f': {
      const sha256 = values[5];
      if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) {
        throw invalid(line, `${quoteName(path)}: its digest is not SHA-256 in lower-case hex`);
      }
      const file = make('file', number(2, 'mode', 0o7777), number(3, 'mtime'));
      file.sizeBytes = number(4, 'size');
      file.sha256 = sha256;
      return file;
    }
    case 'd':
      return make('directory', number(2, 'mode', 0o7777), number(3, 'mtime'));
    case 'l': {
      const link = make('symlink', 0o777, number(2, 'mtime'));
      link.linkTarget = target(3);
      return link;
    }
    case 'h': {
      const link = make('hardlink', 0o644, 0);
      link.linkTarget = target(2);
      return link;
    }
    default:
      throw invalid(
        line,
        `${quoteName(path)}: its kind is ${JSON.stringify(kind) ?? 'not there'}`,
        '"f", "d", "l" or "h"',
      );
  }
}

const NUMBERS = 'mode 0 to 4095, mtime in whole seconds, size in bytes';

function parse(text: string, line: number): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value)) return value;
  } catch {
    // Told below.
  }
  throw invalid(line, 'it is no JSON array');
}

function invalid(line: number, problem: string, hint?: string): AppError {
  return new AppError('CONTEXT_LIST_INVALID', `context: line ${line}: ${problem}`, {
    kind: 'invalid',
    details: { line },
    ...(hint === undefined ? {} : { hint }),
  });
}
