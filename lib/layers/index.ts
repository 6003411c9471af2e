export {
  compress,
  decompress,
  type DecompressLimits,
  type ReadableCompression,
  sniffCompression,
} from './compression/compression.js';
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
} from './tree/path-name.js';
export { Column } from './tree/column.js';
export { copyEntry } from './tree/copy-entry.js';
export { EntryList, type ListedEntry } from './tree/entry-list.js';
export { PathTable } from './tree/path-table.js';
export { CONTEXT_LIMITS, LAYER_LIMITS, type TarLimits } from './tar/tar-limits.js';
export { type PlacedMember, readTar, type TarReadOptions } from './tar/tar-reader.js';
export { writeTar, type TarWriteOptions } from './tar/tar-writer.js';
export * from './types.js';
export { isOpaqueMarker, isWhiteout, OPAQUE_MARKER, whiteoutFor, whiteoutOf } from './tree/whiteout.js';
export {
  ImageTree,
  type ImageTreeOptions,
  type LookupOptions,
  type TreeContents,
  type TreeEntry,
  type TreeMember,
} from './tree/image-tree.js';
export type { BodyPlace } from './stored/layer-bodies.js';
export type { LayerDescriptor, LayerIndex } from './stored/layer-index.js';
export { LayerIndexes, layerIndexKey, type LayerIndexDeps, type LayerIndexRecord } from './stored/layer-indexes.js';
export { indexLayer, type LayerContent, openLayer, readLayer } from './stored/layer-reader.js';
export { type IndexedLayer, segmentsCoder, writeLayer, type WriteLayerOptions } from './stored/layer-writer.js';
export { type LayerSegments, LayerSegmentStore, type OpenSegments } from './stored/layer-segments.js';
export { type ChangesetRules, completeChangeset, type ParentSource, whiteoutMember } from './tree/changeset.js';
export { type ContextOptions, readContext } from './context/context-reader.js';
export type { FileStamp, FolderMember } from './context/folder-state.js';
export {
  encodeContextManifest,
  isContextManifest,
  type ManifestEntry,
  readCheckedManifest,
  readContextManifest,
  withContent,
} from './context/context-manifest.js';
export { lineBatches } from './lines.js';
export { removeTree } from './overlay/remove-tree.js';
export { layerName, type UnpackedLayer, UnpackedLayers } from './overlay/unpacked-layers.js';
export { UpperAsLayer } from './overlay/upper-as-layer.js';
export { changesetOfUpper, type UpperChangesetOptions } from './overlay/upper-changeset.js';
