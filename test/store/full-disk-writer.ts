/**
 * Fills a disk with records: `tsx full-disk-writer.ts <folder>`, where the folder's disk has a file `ballast` of a few
 * MiB. Prints what came of it as JSON. A process of its own, since lmdb tells the console what it also throws, and under
 * jest that is the console of whichever test of the worker has loaded it first.
 */
import { truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { toAppError } from '../../lib/errors/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { openLmdbRecords } from '../../lib/store/folder/record-store-lmdb.js';

export interface FullDiskReport {
  /** Records that were written before the disk was full. */
  readonly acknowledged: number;
  /** Code and kind of each refusal: the first one, and ten at once. */
  readonly refusals: readonly string[];
  /** Of the acknowledged ones, read while it is full. */
  readonly found: number;
  /** Of one more, when there is room. */
  readonly outcome: string;
  /** In the store when it is opened again. */
  readonly reopened: number;
}

const [folder = ''] = process.argv.slice(2);
const value = { text: 'x'.repeat(300 * 1024) };
const path = join(folder, 'records');
const deps = { clock: systemClock };

const codeOf = (error: unknown): string => {
  const { code, kind } = toAppError(error);
  return `${code} ${kind}`;
};

const records = await openLmdbRecords(path, deps);
const refusals: string[] = [];
let acknowledged = 0;
while (refusals.length === 0) {
  try {
    await records.put({ partition: 'P', sort: `${acknowledged}` }, value);
    acknowledged += 1;
  } catch (error) {
    refusals.push(codeOf(error));
  }
}
const many = Array.from({ length: 10 }, (_, at) => records.put({ partition: 'M', sort: `${at}` }, value));
for (const result of await Promise.allSettled(many)) {
  refusals.push(result.status === 'rejected' ? codeOf(result.reason) : 'written');
}
let found = 0;
for (let at = 0; at < acknowledged; at++) {
  if ((await records.get({ partition: 'P', sort: `${at}` })) !== undefined) found += 1;
}
await truncate(join(folder, 'ballast'));
const { outcome } = await records.put({ partition: 'P', sort: 'after' }, value);
await records.close();
const again = await openLmdbRecords(path, deps);
const reopened = (await again.query('P')).records.length;
await again.close();
const report: FullDiskReport = { acknowledged, refusals, found, outcome, reopened };
process.stdout.write(JSON.stringify(report));
