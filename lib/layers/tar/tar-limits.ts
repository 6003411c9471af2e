/** How much a tar may hold. Counted while it streams, so a bomb is refused before it is swallowed. */
export interface TarLimits {
  /** Entries in all. */
  readonly entries: number;
  /** Bytes of one path or link target. */
  readonly pathBytes: number;
  /** Components of one path. */
  readonly depth: number;
  /** Bytes of the uncompressed tar. */
  readonly totalBytes: number;
  /** Bytes of one extended header (PAX records or a GNU long name). */
  readonly headerBytes: number;
}

const GIB = 1024 ** 3;

/** For layers: above anything seen in a real image. */
export const LAYER_LIMITS: TarLimits = {
  entries: 2_000_000,
  pathBytes: 4096,
  depth: 1024,
  totalBytes: 64 * GIB,
  headerBytes: 1024 * 1024,
};

/** For build contexts, which come from strangers. */
export const CONTEXT_LIMITS: TarLimits = {
  entries: 500_000,
  pathBytes: 4096,
  depth: 256,
  totalBytes: 10 * GIB,
  headerBytes: 256 * 1024,
};
