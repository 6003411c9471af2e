/**
 * The strategy `wharf:locality`: what an instance would have to pull for a task, least first. What each instance holds
 * is part of the snapshot, like its room, so placement stays a pure function.
 */

export const LOCALITY = 'wharf:locality';

/** One layer of an image. */
export interface ImagePiece {
  readonly digest: string;
  readonly sizeBytes: number;
}

export interface Pulls {
  /** All layers of the task's images, each counted once. */
  readonly totalBytes: number;
  /** How many bytes of them an instance has, by its id; absent for none. */
  readonly heldBytes: ReadonlyMap<string, number>;
}

/** Whole KiB, as many as an order of instances can hold; 0 where nothing is known of the task's images. */
export function kibibytesToPull(pulls: Pulls | undefined, instanceId: string): number {
  if (pulls === undefined) return 0;
  const bytes = pulls.totalBytes - (pulls.heldBytes.get(instanceId) ?? 0);
  return Math.min(0x7fff_ffff, Math.ceil(bytes / 1024));
}

/** @param holders the instances that hold each layer, by its digest */
export function pullsOf(wanted: readonly ImagePiece[], holders: ReadonlyMap<string, ReadonlySet<string>>): Pulls {
  const pieces = new Map(wanted.map(({ digest, sizeBytes }) => [digest, sizeBytes]));
  const heldBytes = new Map<string, number>();
  for (const [digest, sizeBytes] of pieces) {
    for (const instanceId of holders.get(digest) ?? []) {
      heldBytes.set(instanceId, (heldBytes.get(instanceId) ?? 0) + sizeBytes);
    }
  }
  return { totalBytes: [...pieces.values()].reduce((sum, size) => sum + size, 0), heldBytes };
}
