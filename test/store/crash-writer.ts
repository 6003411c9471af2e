/**
 * The victim of crash.test.ts: writes blobs, uploads and records as fast as it can, and says on standard output what
 * has been acknowledged, one JSON line each. Bundled before it is run.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { openFsBlobs } from '../../lib/store/folder/blob-store-fs.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { systemIds } from '../../lib/store/system/ids-system.js';
import { ContentStore } from '../../lib/store/index.js';
import { openLmdbRecords } from '../../lib/store/folder/record-store-lmdb.js';

const directory = process.argv[2] ?? '';
const deps = { clock: systemClock, ids: systemIds };
const blobs = await openFsBlobs(directory, deps);
const records = await openLmdbRecords(join(directory, 'records'), deps);
const content = new ContentStore(blobs, records);

function acknowledge(line: object): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

function* pieces(): Generator<Buffer> {
  for (let left = randomInt(5); left > 0; left--)
    yield randomBytes(randomInt(2) === 0 ? randomInt(1_000) : randomInt(100_000));
}

async function* source(): AsyncGenerator<Buffer> {
  yield* pieces();
}

async function putBlobs(): Promise<never> {
  for (;;) acknowledge({ blob: (await content.put(source())).digest });
}

async function upload(): Promise<never> {
  for (;;) {
    const id = await blobs.uploads.start();
    let offset = 0;
    for (const piece of pieces()) {
      await blobs.uploads.append(id, offset, Readable.from([piece]));
      offset += piece.length;
      acknowledge({ upload: id, offset });
    }
  }
}

async function count(): Promise<never> {
  const key = { partition: `WRITER#${process.pid}`, sort: 'count' };
  for (let n = 1; ; n++) {
    await records.transact([
      { op: 'put', key, value: { n } },
      { op: 'put', key: { ...key, sort: `n#${n}` }, value: { n } },
    ]);
    acknowledge({ counter: key.partition, n });
  }
}

acknowledge({ ready: true });
await Promise.all([putBlobs(), putBlobs(), upload(), count()]);
