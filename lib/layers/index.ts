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
export { ancestors, ImageTree, type LookupOptions, type TreeEntry } from './image-tree.js';
export { type IndexedEntry, type LayerDescriptor, type LayerIndex } from './layer-index.js';
export { LayerIndexes, layerIndexKey, type LayerIndexDeps, type LayerIndexRecord } from './layer-indexes.js';
export { indexLayer, type LayerContent, openLayer, readLayer } from './layer-reader.js';
export { type IndexedLayer, writeLayer, type WriteLayerOptions } from './layer-writer.js';
