/**
 * The engine in three layers, always printed together, since the first says nothing about the last: (D) placement
 * decisions alone; (E) RunTask through the unmodified SDK to a durable record and its event; (R) RunTask to RUNNING with
 * real containers, beside `docker run -d`. After them the whole program, and what placement by layers saves.
 */
import type { Session } from '../session.js';
import { benchContainers } from './containers.js';
import { benchDecisions } from './decisions.js';
import { benchLocality } from './locality.js';
import { benchWhole } from './whole.js';
import { benchWithoutRuntime } from './without-runtime.js';

export interface EngineSettings {
  readonly quick: boolean;
  /** Containers that are started one after the other, and as many four at a time. */
  readonly rounds: number;
  /** One of `LAYERS`; all when absent. */
  readonly only?: string;
}

const LAYERS = ['decisions', 'sdk', 'containers', 'locality', 'whole'] as const;

export async function benchEngine(session: Session, { quick, rounds, only }: EngineSettings): Promise<void> {
  const wanted = (layer: (typeof LAYERS)[number]): boolean => only === undefined || only === layer;
  const print = (text: string): void => console.log(`\n${text}`);
  if (wanted('decisions')) print(benchDecisions(session, [100, 1000, 5000], quick ? 20_000 : 100_000));
  if (wanted('sdk')) print(await benchWithoutRuntime(session, quick ? [8, 1000] : [8, 1000, 5000], quick ? 20 : 100));
  if (wanted('containers')) print(await benchContainers(session, [1, 4, 8], rounds));
  if (wanted('locality')) print(benchLocality(session, quick ? 2000 : 20_000));
  if (wanted('whole')) print(await benchWhole(session, quick ? 3 : 10));
}
