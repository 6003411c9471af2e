/** Annotations of a layer's descriptor that tell a puller of single files about an eStargz. */

/** Digest of its list of files. */
export const TOC_DIGEST = 'containerd.io/snapshot/stargz/toc.digest';
/** Bytes that decompressing gives. */
export const UNCOMPRESSED_SIZE = 'io.containers.estargz.uncompressed-size';
