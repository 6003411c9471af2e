/**
 * Layer entries: one shape for what stands in a tar header, a changeset and a layer's file index.
 * Paths are relative, `/`-separated, without leading `./` and without a trailing `/`.
 */
import type { Digest } from '../oci/index.js';

export type EntryType = 'file' | 'directory' | 'symlink' | 'hardlink' | 'char' | 'block' | 'fifo';

export interface LayerEntry {
  readonly path: string;
  readonly type: EntryType;
  /** Permission bits with setuid, setgid and sticky: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Whole seconds since the epoch. */
  readonly mtimeSeconds: number;
  /** Bytes of a file's content; 0 for everything else. */
  readonly sizeBytes: number;
  /** Target of a symlink (as written) or hardlink (a path of the same layer). */
  readonly linkTarget?: string;
  readonly device?: { readonly major: number; readonly minor: number };
  /** Extended attributes by full name (`security.capability`), values as raw bytes. */
  readonly xattrs?: ReadonlyMap<string, Uint8Array>;
}

/** An entry with its content, while a tar streams by. The body must be consumed (or drained) before the next entry. */
export interface TarMember {
  readonly entry: LayerEntry;
  readonly body: AsyncIterable<Uint8Array>;
}

/** What a written layer is known by. */
export interface WrittenLayer {
  /** Digest of the uncompressed tar. */
  readonly diffId: Digest;
  /** Of the stored blob. */
  readonly descriptor: {
    readonly mediaType: string;
    readonly digest: Digest;
    readonly size: number;
    /** Of eStargz. */
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly uncompressedBytes: number;
  readonly entries: number;
}
