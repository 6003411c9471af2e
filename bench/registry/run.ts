/**
 * `npm run bench -- registry`: every workload against every registry, in rounds that take turns (A B, B A, A B …), on
 * the same disk, from the same client. Each workload begins with empty registries; set-up stays outside the clock.
 */
import { load, type Session } from '../session.js';
import { median, percentile, short, table } from '../figures.js';
import { LoadClient } from './client.js';
import { type PeerKind, type RegistryPeer, registryPeers } from './peer.js';
import { startUp } from './start-up.js';
import { type Operation, type Workload, workloads } from './workloads.js';

export interface RegistryBenchOptions {
  readonly clients: number;
  /** Multiplies the operations of a round. */
  readonly scale: number;
  readonly rounds: number;
  /** Part of a workload's name, any case; all when absent. */
  readonly only?: string;
  /** For the start-up measurement; 0 leaves it out. */
  readonly manifests: number;
}

interface Round {
  readonly operations: number;
  readonly bytes: number;
  readonly seconds: number;
  /** Of the server. */
  readonly cpuSeconds: number;
  readonly milliseconds: readonly number[];
}

/** No round starts another operation after this. */
const LONGEST_ROUND_MS = 60_000;

export async function benchRegistry(session: Session, options: RegistryBenchOptions): Promise<void> {
  const { kinds, missing } = await registryPeers();
  for (const name of missing) console.log(`not measured, not installed: ${name}`);
  const wanted = options.only?.toLowerCase();
  const chosen = workloads().filter(({ name }) => wanted === undefined || name.toLowerCase().includes(wanted));
  for (const workload of chosen) {
    const rounds = await inTurns(session, workload, kinds, options);
    console.log(`\n${workload.name} (load ${load()})\n${table(rowsOf(workload, rounds))}`);
  }
  if (options.manifests > 0 && (wanted === undefined || 'start-up'.includes(wanted))) {
    console.log(`\nStart-up with ${options.manifests} manifests (load ${load()})`);
    console.log(await startUp(session, kinds, options));
  }
}

async function inTurns(
  session: Session,
  workload: Workload,
  kinds: readonly PeerKind[],
  options: RegistryBenchOptions,
): Promise<ReadonlyMap<string, readonly Round[]>> {
  const count = Math.max(workload.unit === 'req' ? 50 : 2, Math.round(workload.count * options.scale));
  const entries: { peer: RegistryPeer; client: LoadClient; prepared: unknown; rounds: Round[] }[] = [];
  try {
    for (const kind of kinds) {
      const peer = await kind.create(session);
      await peer.start();
      const client = new LoadClient(peer.url, peer.authorization, options.clients);
      entries.push({ peer, client, prepared: await workload.prepare(client), rounds: [] });
    }
    for (let round = 0; round < options.rounds; round++) {
      for (const entry of round % 2 === 0 ? entries : entries.toReversed()) {
        const operations = workload.plan(entry.client, entry.prepared, count);
        const before = entry.peer.server.cpuSeconds();
        const sent = await measure(operations, options.clients);
        const measured = { ...sent, cpuSeconds: entry.peer.server.cpuSeconds() - before };
        entry.rounds.push(measured);
        session.record('registry', {
          workload: workload.name,
          peer: entry.peer.name,
          round,
          load: load(),
          ...measured,
        });
      }
    }
    for (const { peer } of entries) {
      session.record('registry-memory', {
        workload: workload.name,
        peer: peer.name,
        peakBytes: peer.server.peakBytes(),
      });
    }
  } finally {
    for (const { peer, client } of entries) {
      client.close();
      await peer.stop();
    }
    await session.clear();
  }
  return new Map(entries.map(({ peer, rounds }) => [peer.name, rounds]));
}

async function measure(operations: readonly Operation[], clients: number): Promise<Omit<Round, 'cpuSeconds'>> {
  const milliseconds: number[] = [];
  let bytes = 0;
  let next = 0;
  const started = performance.now();
  const worker = async (): Promise<void> => {
    for (;;) {
      const operation = operations[next++];
      if (operation === undefined || performance.now() - started > LONGEST_ROUND_MS) return;
      const from = performance.now();
      // Not in one step: others count while this one is awaited.
      const done = await operation();
      const took = performance.now() - from;
      bytes += typeof done === 'number' ? done : done.bytes;
      milliseconds.push(typeof done === 'number' ? took : done.milliseconds);
    }
  };
  await Promise.all(Array.from({ length: clients }, worker));
  return { operations: milliseconds.length, bytes, seconds: (performance.now() - started) / 1000, milliseconds };
}

function rowsOf(workload: Workload, measured: ReadonlyMap<string, readonly Round[]>): string[][] {
  const perSecond = (rounds: readonly Round[]): number => median(rounds.map((each) => each.operations / each.seconds));
  const first = [...measured.values()][0] ?? [];
  const rows = [...measured].map(([name, rounds]) => {
    const all = rounds.flatMap(({ milliseconds }) => milliseconds);
    const rate = perSecond(rounds);
    return [
      name,
      short(rate),
      short(median(rounds.map((each) => each.bytes / each.seconds / 1e6))),
      short(percentile(all, 0.5)),
      short(percentile(all, 0.99)),
      short(median(rounds.map((each) => (each.cpuSeconds / each.operations) * 1000))),
      rounds === first ? '' : `${short(perSecond(first) / rate)}x`,
    ];
  });
  return [['', `${workload.unit}/s`, 'MB/s', 'p50 ms', 'p99 ms', 'CPU ms each', 'wharf is'], ...rows];
}
