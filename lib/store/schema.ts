/**
 * Which version of the records a store holds. Written once when a store is first opened; a later version of Wharf that
 * changes what records mean raises the number and brings the records along when it opens the store. A store that a
 * newer Wharf has opened is refused: an older one would misread it, or write what the newer one has given up.
 */
import { AppError } from '../errors/index.js';
import type { RecordKey, RecordStore } from './ports.js';

/** Raised with every change that a version before it could not read. Fixtures of each: test/golden/records. */
export const SCHEMA_VERSION = 1;

const KEY: RecordKey = { partition: 'SCHEMA', sort: '-' };

interface SchemaRecord {
  readonly version: number;
}

/**
 * @param known what this Wharf reads and writes
 * @throws AppError SCHEMA_NEWER
 */
export async function openSchema(records: RecordStore, known = SCHEMA_VERSION): Promise<void> {
  for (;;) {
    const stored = await records.get<SchemaRecord>(KEY);
    if (stored !== undefined && stored.value.version > known) throw newer(stored.value.version, known);
    if (stored?.value.version === known) return;
    // Before there were versions, records were as in version 1.
    const value: SchemaRecord = { version: known };
    const expect = stored === undefined ? 'absent' : { version: stored.version };
    const { outcome } = await records.put(KEY, value, { expect });
    if (outcome === 'written') return;
  }
}

function newer(version: number, known: number): AppError {
  return new AppError(
    'SCHEMA_NEWER',
    `the records are of version ${version}, and this Wharf knows versions up to ${known}`,
    {
      kind: 'internal',
      hint: 'go on with the newer Wharf that wrote them, or restore a backup of before it did',
      details: { version, known },
    },
  );
}
