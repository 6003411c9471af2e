/**
 * Reads an uploaded build context: a tar from a stranger. Stricter than docker, which re-roots what climbs and builds
 * with the rest: here every name must be clean, no entry may lie behind a link, and there are only files, folders and
 * links. Where a symbolic link points is data, as with docker: it is copied as it is, and whoever follows it does so
 * in an ImageTree, which has nothing above its root.
 */
import type { ByteSource } from '../../store/index.js';
import { decompress, type DecompressLimits } from '../compression/compression.js';
import { ContextRules } from './context-rules.js';
import { tarError } from '../tar/tar-errors.js';
import { CONTEXT_LIMITS, type TarLimits } from '../tar/tar-limits.js';
import { type PlacedMember, readTar } from '../tar/tar-reader.js';
import type { PathTable } from '../tree/path-table.js';

export interface ContextOptions {
  /** CONTEXT_LIMITS for what is absent. */
  readonly limits?: Partial<TarLimits>;
  /** Uncompressed bytes for each compressed one, counted from 10 MiB on; 100 when absent. */
  readonly maxRatio?: number;
  /** Of the list that the entries go to: names need not be held twice. */
  readonly paths?: PathTable;
}

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
  const rules = new ContextRules(options.paths);
  for await (const member of readTar(decompress(source, 'sniff', unpacking), { mode: 'strict', limits })) {
    const { entry, offset } = member;
    const place = { offset, name: entry.path };
    rules.check(entry, (code, problem, hint) => tarError(code, place, problem, hint));
    yield member;
  }
}
