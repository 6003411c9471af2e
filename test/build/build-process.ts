/**
 * A build worker in a process of its own, to be killed: store, sandbox and worker on a folder, as on a user's machine.
 * `build-process <folder> [<milliseconds of a lease> [<scope of the cache> [kill|say|late <operation>]]]`; prints `ready`
 * when it takes builds. At the operation of its store with that number it dies by kill -9, prints `reached`, or the time of
 * one RUN is over, the next if none runs; when it is told to end, it prints how many there were.
 */
import { EventEmitter, once } from 'node:events';
import { join } from 'node:path';
import { BuildService, BuildWorker, ImageBuilder } from '../../lib/build/index.js';
import { OverlaySandbox } from '../../lib/build/sandbox/sandbox-overlay.js';
import { UnpackedLayers } from '../../lib/layers/index.js';
import { Registry } from '../../lib/registry/index.js';
import { openHostScope, Runc } from '../../lib/runtime/index.js';
import { openFsBlobs } from '../../lib/store/folder/blob-store-fs.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { systemIds as ids } from '../../lib/store/system/ids-system.js';
import { type Clock, ContentStore, silentLogger } from '../../lib/store/index.js';
import { RecordsQueue } from '../../lib/store/records/queue-records.js';
import { openLmdbRecords } from '../../lib/store/folder/record-store-lmdb.js';
import { RecordsSecretStore } from '../../lib/store/records/secret-store-records.js';
import { countedBlobs, countedRecords } from '../fakes/counted-store.js';

const [, , folder = '', leaseMs = '400', cacheScope = 'default', what = '', operation = '0'] = process.argv;
/** What RUN may take; nothing else sleeps for so long. */
const RUN_TIMEOUT_MS = 1_000_000_007;
let operations = 0;
/** RUNs that are out of time and have not heard of it yet. */
const late = { runs: 0, told: new EventEmitter() };
const tell = (): void => {
  operations += 1;
  if (operations !== Number(operation)) return;
  if (what === 'kill') process.kill(process.pid, 'SIGKILL');
  if (what === 'late') {
    late.runs = 1;
    late.told.emit('late');
  }
  process.stdout.write('reached\n');
};
const clock: Clock = {
  ...systemClock,
  sleep: async (ms, signal) => {
    if (ms !== RUN_TIMEOUT_MS) return systemClock.sleep(ms, signal);
    while (late.runs === 0) await once(late.told, 'late', signal === undefined ? {} : { signal });
    late.runs = 0;
  },
};
process.once('SIGTERM', () => process.stdout.write(`${operations}\n`, () => process.exit()));
const stored = await openLmdbRecords(join(folder, 'store', 'records'), { clock });
const secrets = new RecordsSecretStore(stored, { key: Buffer.alloc(32, 7) });
const queue = new RecordsQueue(stored, { clock, ids }, { name: 'builds' });
const records = countedRecords(stored, tell);
const blobs = countedBlobs(await openFsBlobs(join(folder, 'store'), { clock, ids }), tell);
const content = new ContentStore(blobs, records);
const registry = new Registry({ records, content, secrets, clock, ids });
const scope = await openHostScope(join(folder, 'runtime'));
const runc = await Runc.open({ scope, clock });
const layers = await UnpackedLayers.open({ content }, join(scope.directory, 'layers'));
const sandbox = await OverlaySandbox.open({ scope, runc, layers });
const builds = new BuildService({ records, content, queue, clock, ids, secrets });
const builder = new ImageBuilder(
  { records, content, images: registry, sandbox, clock, ids },
  { platform: { os: 'linux', architecture: 'amd64' }, scope: cacheScope, runTimeoutMs: RUN_TIMEOUT_MS },
);
const worker = new BuildWorker(
  { builds, records, queue, clock, ids, logger: silentLogger, build: builder.build },
  { leaseMs: Number(leaseMs), maxAttempts: 100, slots: 2 },
);
await worker.start();
process.stdout.write('ready\n');
