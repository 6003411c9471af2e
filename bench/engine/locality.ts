/** Cold starts and instances used with `wharf:locality`, beside binpack and spread. */
import type { Requirement } from '../../lib/engine/placement/place.js';
import { megabytes, short, table } from '../figures.js';
import type { Session } from '../session.js';
import { type LocalityOutcome, simulateLocality } from './locality-simulation.js';

const SEEDS = [1, 2, 3];
const STRATEGIES: readonly (readonly [string, Requirement['strategies']])[] = [
  ['binpack memory', [{ type: 'binpack', field: 'memory' }]],
  ['spread instanceId', [{ type: 'spread', field: 'instanceId' }]],
  ['wharf:locality, binpack memory', [{ type: 'wharf:locality' }, { type: 'binpack', field: 'memory' }]],
];

export function benchLocality(session: Session, starts: number): string {
  const rows = [['Locality (simulated): 40 instances, 60 images, 12 kept', 'cold starts', 'pulled', 'instances']];
  for (const [name, strategies] of STRATEGIES) {
    const outcomes = SEEDS.map((seed) => simulateLocality(strategies, { seed, starts }));
    session.record('locality', { name, starts, outcomes });
    const mean = (of: (outcome: LocalityOutcome) => number): number =>
      outcomes.reduce((sum, outcome) => sum + of(outcome), 0) / outcomes.length;
    rows.push([
      name,
      `${short(mean(({ coldShare }) => coldShare) * 100)} %`,
      megabytes(mean(({ pulledBytes }) => pulledBytes)),
      short(mean(({ instances }) => instances)),
    ]);
  }
  return table(rows);
}
