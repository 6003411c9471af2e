/**
 * Local tar archives that ADD unpacks, told by their content: tar, plain or compressed. The archive is stored once as
 * a plain tar, so that files can be read out of it in the order the layer wants them.
 */
import {
  CONTEXT_LIMITS,
  decompress,
  type DecompressLimits,
  ImageTree,
  indexLayer,
  sniffCompression,
  type TreeEntry,
} from '../../layers/index.js';
import { MediaType } from '../../oci/index.js';
import type { ByteSource, ContentStore } from '../../store/index.js';

export interface Archive {
  readonly tree: ImageTree;
  /** Folders with an entry of their own: others are there only because something is in them. */
  readonly described: ReadonlySet<string>;
}

/** A small file must not fill the store. What is large and of zeros, like a database's, has a gigabyte to be so. */
const ARCHIVE_LIMITS: DecompressLimits = {
  maxBytes: CONTEXT_LIMITS.totalBytes,
  maxRatio: 100,
  ratioFromBytes: 1024 * 1024 * 1024,
};

/** Undefined when the file is no tar that can be read. @throws AppError COMPRESSION_BOMB, TAR_… */
export async function openArchive(
  content: ContentStore,
  tree: ImageTree,
  file: TreeEntry,
  signal: AbortSignal,
  limits = ARCHIVE_LIMITS,
): Promise<Archive | undefined> {
  const kind = sniffCompression(await head(tree.readFile(file.path)));
  if (kind === undefined) return undefined;
  const inner = kind === 'none' ? tree.readFile(file.path) : decompress(tree.readFile(file.path), kind);
  if (!(await beginsAsTar(inner))) return undefined;
  const stored = await content.put(decompress(tree.readFile(file.path), kind, limits), { signal });
  const descriptor = { mediaType: MediaType.ociLayer, digest: stored.digest, size: stored.sizeBytes };
  const index = await indexLayer(content, descriptor);
  const described = new Set<string>();
  for (const { path, type } of index.entries) if (type === 'directory') described.add(path);
  return { tree: ImageTree.empty(content).withLayer(index), described };
}

/** An archive of nothing but zeros has no entry: docker copies it as a file. */
async function beginsAsTar(source: ByteSource): Promise<boolean> {
  try {
    const first = await head(source);
    return first.length === 512 && sniffCompression(first) === 'none' && first.some((byte) => byte !== 0);
  } catch {
    // Compressed, but damaged: a plain file as far as ADD is concerned.
    return false;
  }
}

/** The first 512 bytes; the rest is left unread. */
async function head(source: ByteSource): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of source) {
    chunks.push(chunk);
    size += chunk.length;
    if (size >= 512) break;
  }
  return Buffer.concat(chunks).subarray(0, 512);
}
