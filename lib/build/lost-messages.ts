/**
 * Builds whose message was lost: the record was written and the message was not sent, or a queue gave it up. Each build
 * that is not finished is on a list, and whoever is called by a schedule sends for it again.
 */
import type { Clock, Logger, RecordStore, StoredRecord } from '../store/index.js';
import { type BuildRecord, isFinal, leaseKey, OPEN_LIST } from './build-records.js';
import type { BuildService } from './builds.js';

export interface LostMessagesDeps {
  readonly builds: BuildService;
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A build without worker and lease for so long has lost its message. */
const LOST_MS = 120_000;

/** Every build that is not finished, one after the other; one that cannot be looked at does not hold up the rest. */
export async function eachOpenBuild(
  { builds, records, logger }: Omit<LostMessagesDeps, 'clock'>,
  look: (state: StoredRecord<BuildRecord>) => Promise<void>,
): Promise<void> {
  let cursor: string | undefined;
  do {
    const page = await records.query(OPEN_LIST, cursor === undefined ? {} : { cursor });
    for (const { sort: id } of page.records) {
      try {
        const state = await builds.state(id);
        if (state !== undefined) await look(state);
      } catch (error) {
        logger.warn('a build could not be looked at, it is looked at again', { id, error });
      }
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
}

/** Sends for a build again that nobody is at. Harmless when its message is still on the way. */
export async function resendIfLost(
  { builds, records, clock }: LostMessagesDeps,
  { value }: StoredRecord<BuildRecord>,
  lostMs = LOST_MS,
): Promise<void> {
  const { id, createdMs } = value.build;
  if (isFinal(value.build) || clock.nowMs() - createdMs <= lostMs) return;
  if ((await records.get(leaseKey(id))) === undefined) await builds.enqueue(id);
}
