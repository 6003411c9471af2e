/**
 * Reads an uploaded build context: a tar from a stranger. Stricter than docker, which re-roots what climbs and builds
 * with the rest: here every name must be clean, no entry may lie behind a link, and there are only files, folders and
 * links. Where a symbolic link points is data, as with docker: it is copied as it is, and whoever follows it does so
 * in an ImageTree, which has nothing above its root.
 */
import type { ByteSource } from '../store/index.js';
import { decompress, type DecompressLimits } from './compression.js';
import { ancestors, quoteName } from './path-name.js';
import { tarError, type TarPlace } from './tar-errors.js';
import { CONTEXT_LIMITS, type TarLimits } from './tar-limits.js';
import { type PlacedMember, readTar } from './tar-reader.js';
import type { LayerEntry } from './types.js';
import { isWhiteout } from './whiteout.js';

export interface ContextOptions {
  /** CONTEXT_LIMITS for what is absent. */
  readonly limits?: Partial<TarLimits>;
  /** Uncompressed bytes for each compressed one, counted from 10 MiB on; 100 when absent. */
  readonly maxRatio?: number;
}

/** Names on Linux end here. */
const MAX_NAME_BYTES = 255;

/**
 * The members of a context, plain or compressed in any way that `decompress` can tell.
 * @throws AppError TAR_INVALID, TAR_UNSAFE_PATH, TAR_UNSAFE_ENTRY, TAR_TOO_LARGE, TAR_UNSUPPORTED (each with entry and
 * offset), or those of `decompress`
 */
export async function* readContext(
  source: ByteSource,
  options: ContextOptions = {},
): AsyncGenerator<PlacedMember, void, undefined> {
  const limits = { ...CONTEXT_LIMITS, ...options.limits };
  const unpacking: DecompressLimits = { maxRatio: options.maxRatio ?? 100 };
  const seen: Seen = { types: new Map(), folders: new Set() };
  for await (const member of readTar(decompress(source, 'sniff', unpacking), { mode: 'strict', limits })) {
    const { entry, offset } = member;
    const place = { offset, name: entry.path };
    checkName(entry, place);
    checkTarget(entry, place, seen);
    checkPlace(entry, place, seen);
    yield member;
  }
}

function checkName(entry: LayerEntry, place: TarPlace): void {
  if (CONTROL.test(entry.path)) throw tarError('TAR_UNSAFE_PATH', place, 'its name has a control character');
  const long = entry.path.split('/').find((part) => Buffer.byteLength(part) > MAX_NAME_BYTES);
  if (long !== undefined) {
    throw tarError('TAR_UNSAFE_PATH', place, `the component ${quoteName(long)} is longer than ${MAX_NAME_BYTES} bytes`);
  }
  if (entry.path.split('/').some((part) => isWhiteout(part))) {
    throw tarError('TAR_UNSAFE_ENTRY', place, 'names beginning with ".wh." are the marks of layers, not of files');
  }
  if (entry.type === 'char' || entry.type === 'block' || entry.type === 'fifo') {
    throw tarError(
      'TAR_UNSAFE_ENTRY',
      place,
      `a ${entry.type === 'fifo' ? 'fifo' : 'device'} in a build context`,
      ALLOWED,
    );
  }
}

/** What stood before: the type of each entry, and every folder that some entry lies in. */
interface Seen {
  readonly types: Map<string, LayerEntry['type']>;
  readonly folders: Set<string>;
}

function checkPlace(entry: LayerEntry, place: TarPlace, { types, folders }: Seen): void {
  if (types.has(entry.path)) throw tarError('TAR_UNSAFE_ENTRY', place, 'it stands in the context twice');
  if (entry.type !== 'directory' && folders.has(entry.path)) {
    throw tarError('TAR_UNSAFE_ENTRY', place, `it is a ${entry.type}, but entries before it lie in it`);
  }
  for (const above of ancestors(entry.path)) {
    const type = types.get(above);
    if (type !== undefined && type !== 'directory') {
      throw tarError('TAR_UNSAFE_PATH', place, `it lies in ${quoteName(above)}, which is a ${type}`);
    }
    folders.add(above);
  }
  types.set(entry.path, entry.type);
}

function checkTarget(entry: LayerEntry, place: TarPlace, { types }: Seen): void {
  const target = entry.linkTarget;
  if (target === undefined) return;
  if (CONTROL.test(target)) throw tarError('TAR_UNSAFE_PATH', place, 'its link target has a control character');
  if (entry.type !== 'hardlink') return;
  const type = types.get(target);
  if (type === 'file' || type === 'hardlink') return;
  const what = type === undefined ? 'no entry before it' : `a ${type}`;
  throw tarError('TAR_UNSAFE_ENTRY', place, `a hard link to ${quoteName(target)}, which is ${what}`);
}

const CONTROL = /\p{Cc}/u;
const ALLOWED = 'files, folders, hard links and symbolic links';
