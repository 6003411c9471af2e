export {
  compress,
  decompress,
  type DecompressLimits,
  type ReadableCompression,
  sniffCompression,
} from './compression.js';
export {
  ancestors,
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
export { copyEntry } from './copy-entry.js';
export { CONTEXT_LIMITS, LAYER_LIMITS, type TarLimits } from './tar-limits.js';
export { type PlacedMember, readTar, type TarReadOptions } from './tar-reader.js';
export { writeTar, type TarWriteOptions } from './tar-writer.js';
export * from './types.js';
export { isOpaqueMarker, isWhiteout, OPAQUE_MARKER, whiteoutFor, whiteoutOf } from './whiteout.js';
export {
  ImageTree,
  type ImageTreeOptions,
  type LookupOptions,
  type TreeContents,
  type TreeEntry,
  type TreeMember,
} from './image-tree.js';
export { indexedEntry, type IndexedEntry, type LayerDescriptor, type LayerIndex } from './layer-index.js';
export { LayerIndexes, layerIndexKey, type LayerIndexDeps, type LayerIndexRecord } from './layer-indexes.js';
export { indexLayer, type LayerContent, openLayer, readLayer } from './layer-reader.js';
export { type IndexedLayer, segmentsCoder, writeLayer, type WriteLayerOptions } from './layer-writer.js';
export { type LayerSegments, LayerSegmentStore, type OpenSegments } from './layer-segments.js';
export { type ChangesetRules, completeChangeset, type ParentSource, whiteoutMember } from './changeset.js';
export { type ContextOptions, readContext } from './context-reader.js';
export {
  encodeContextManifest,
  isContextManifest,
  type ManifestEntry,
  readCheckedManifest,
  readContextManifest,
  withContent,
} from './context-manifest.js';
export { splitLines } from './lines.js';
export { layerName, type UnpackedLayer, UnpackedLayers } from './unpacked-layers.js';
export { changesetOfUpper, type UpperChangesetOptions } from './upper-changeset.js';
