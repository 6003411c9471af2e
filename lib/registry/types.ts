/**
 * The registry's face to the rest of the house: builder, engine and control plane read and write images through
 * `Images`; only `lib/registry` knows how links, tags and edges are kept. The HTTP protocol stands on the same domain.
 */
import type { Descriptor, Digest } from '../oci/index.js';

export interface StoredManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Exactly as pushed. */
  readonly bytes: Buffer;
}

export interface TagEntry {
  readonly tag: string;
  readonly digest: Digest;
  readonly updatedMs: number;
}

/** A manifest that belongs to another: a signature, an SBOM, a provenance. */
export interface AttachedManifest {
  readonly digest: Digest;
  /** How it is found, where it is not by its subject. */
  readonly tag?: string;
}

export interface Images {
  /** The manifest behind a tag or digest; undefined when absent. */
  manifest(
    repository: string,
    reference: { readonly tag: string } | { readonly digest: Digest },
  ): Promise<StoredManifest | undefined>;
  /**
   * Stores a manifest and points the tags at it in one transaction. Every blob and manifest it names must be linked
   * in the repository (MANIFEST_BLOB_UNKNOWN otherwise).
   */
  putManifest(repository: string, bytes: Uint8Array, mediaType: string, tags: readonly string[]): Promise<Descriptor>;
  /** Makes a blob of the content store part of the repository. @throws BLOB_UNKNOWN when the store has it not */
  linkBlob(repository: string, digest: Digest): Promise<void>;
  repositories(options?: { readonly after?: string; readonly limit?: number }): Promise<readonly string[]>;
  /** Sorted by tag; undefined when the repository is unknown. */
  tags(repository: string): Promise<readonly TagEntry[] | undefined>;
}
