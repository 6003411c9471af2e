/**
 * `npm run bench -- build`: the same Dockerfiles by Wharf, by docker and by buildah, in rounds that take turns. Each
 * round gives every builder an empty store; a build counts from the command to the image in the registry.
 */
import { rm } from 'node:fs/promises';
import { median, megabytes, short, table } from '../figures.js';
import { hasProgram } from '../process.js';
import { load, type Session } from '../session.js';
import type { BuildCost, BuilderKind } from './builder.js';
import { buildahBuilder } from './buildah-builder.js';
import { dockerBuilder } from './docker-builder.js';
import { type Prepared, type Scenario, scenarios } from './scenarios.js';
import { wharfBuilder } from './wharf-builder.js';

export interface BuildBenchOptions {
  readonly rounds: number;
  /** Of the sizes; 1 is what the scenarios' names say. */
  readonly scale: number;
  /** Whether to measure what needs the network and Debian's archive. */
  readonly apt: boolean;
  /** Part of a scenario's name; all when absent. */
  readonly only?: string;
}

/** Costs by what was built, then by builder. */
type Results = Map<string, Map<string, BuildCost[]>>;

export async function benchBuild(session: Session, options: BuildBenchOptions): Promise<void> {
  const kinds: BuilderKind[] = [];
  for (const kind of [wharfBuilder, dockerBuilder, buildahBuilder]) {
    const missing = await missingPackages(kind);
    if (missing.length === 0) kinds.push(kind);
    else console.log(`not measured: ${kind.name} (Debian packages: ${missing.join(', ')})`);
  }
  console.log('not measured, not installed: BuildKit, kaniko (not packaged by Debian 12)');
  if (options.scale !== 1) console.log(`sizes are ${options.scale} of what the names say`);
  for (const scenario of scenarios(options.apt)) {
    if (options.only !== undefined && !scenario.name.includes(options.only)) continue;
    const folder = await session.directory('inputs');
    const prepared = await scenario.prepare(folder, options.scale);
    const results = await inTurns(session, scenario, prepared, kinds, options.rounds);
    await rm(folder, { recursive: true });
    console.log(`\n${scenario.name} (load ${load()})\n${table(rowsOf(results))}`);
  }
}

async function inTurns(
  session: Session,
  scenario: Scenario,
  prepared: Prepared,
  kinds: readonly BuilderKind[],
  rounds: number,
): Promise<Results> {
  const results: Results = new Map();
  for (let round = 0; round < rounds; round++) {
    for (const kind of round % 2 === 0 ? kinds : kinds.toReversed()) {
      for (const { what, cost } of await oneRound(session, scenario, prepared, kind, round)) {
        const line = { scenario: scenario.name, what, builder: kind.name, round, load: load(), ...cost };
        session.record('build', line);
        const costs = results.get(what) ?? new Map<string, BuildCost[]>();
        results.set(what, costs.set(kind.name, [...(costs.get(kind.name) ?? []), cost]));
      }
    }
  }
  return results;
}

async function oneRound(
  session: Session,
  scenario: Scenario,
  prepared: Prepared,
  kind: BuilderKind,
  round: number,
): ReturnType<Prepared['run']> {
  const builder = await kind.start(session, scenario.network === true);
  try {
    const bases: Record<string, string> = {};
    for (const [name, layout] of Object.entries(prepared.bases)) {
      bases[name] = await builder.addBase(layout, `base-${name.toLowerCase()}`);
    }
    const built: string[] = [];
    const measured = await prepared.run(
      { ...builder, build: (order) => (built.push(order.name), builder.build(order)) },
      bases,
      round,
    );
    for (const name of new Set(built)) await builder.check(name);
    return measured;
  } finally {
    await builder.stop();
    await session.clear('inputs-');
  }
}

async function missingPackages(kind: BuilderKind): Promise<readonly string[]> {
  const missing: string[] = [];
  for (const [program, name] of Object.entries(kind.needs)) if (!(await hasProgram(program))) missing.push(name);
  return missing;
}

function rowsOf(results: Results): string[][] {
  const rows = [['', 'seconds', 'wharf is', 'peak memory', 'server read']];
  for (const [what, costs] of results) {
    const seconds = (each: readonly BuildCost[] | undefined): number =>
      median((each ?? []).map((cost) => cost.seconds));
    const ours = seconds(costs.get(wharfBuilder.name));
    for (const [name, each] of costs) {
      const read = each.flatMap(({ readBytes }) => (readBytes === undefined ? [] : [readBytes]));
      rows.push([
        `${what}: ${name}`,
        short(seconds(each)),
        name === wharfBuilder.name ? '' : `${short(seconds(each) / ours)}x`,
        megabytes(Math.max(...each.map(({ peakBytes }) => peakBytes))),
        read.length === 0 ? '' : megabytes(median(read)),
      ]);
    }
  }
  return rows;
}
