/** What calls ask for and show where no other folder has the shape. */
import type { Descriptor, Digest, ImageConfig } from '../oci/index.js';

export interface PageQuery {
  readonly limit?: number;
  readonly cursor?: string;
}

export interface ImageView {
  readonly repository: string;
  readonly tag?: string;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly imageId?: Digest;
  readonly platform?: string;
  readonly config?: ImageConfig;
  readonly layers?: readonly Descriptor[];
  readonly manifests?: readonly Descriptor[];
  readonly sizeBytes: number;
}

/** An image as a tar. */
export interface ArchiveQuery {
  readonly format: 'oci' | 'docker' | 'rootfs';
  readonly platform?: string;
}

/** What a build made, as a tar. */
export interface BuiltArchiveQuery extends ArchiveQuery {
  readonly platformSplit?: 'true' | 'false';
  readonly attestationPrefix?: string;
}

export interface TagView {
  readonly tag: string;
  readonly digest: Digest;
  readonly updatedMs: number;
}
