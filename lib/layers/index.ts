export {
  compress,
  decompress,
  type DecompressLimits,
  type ReadableCompression,
  sniffCompression,
} from './compression.js';
export {
  baseName,
  comparePaths,
  decodeName,
  encodeName,
  isBelow,
  joinPath,
  normalisePath,
  parentPath,
  quoteName,
} from './path-name.js';
export { CONTEXT_LIMITS, LAYER_LIMITS, type TarLimits } from './tar-limits.js';
export { type PlacedMember, readTar, type TarReadOptions } from './tar-reader.js';
export { writeTar, type TarWriteOptions } from './tar-writer.js';
export * from './types.js';
export { isOpaqueMarker, isWhiteout, OPAQUE_MARKER, whiteoutFor, whiteoutOf } from './whiteout.js';
