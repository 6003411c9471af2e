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
}

export async function benchEngine(session: Session, { quick, rounds }: EngineSettings): Promise<void> {
  const print = (text: string): void => console.log(`\n${text}`);
  print(benchDecisions(session, [100, 1000, 5000], quick ? 20_000 : 100_000));
  print(await benchWithoutRuntime(session, quick ? [8, 1000] : [8, 1000, 5000], quick ? 20 : 100));
  print(await benchContainers(session, [1, 4, 8], rounds));
  print(benchLocality(session, quick ? 2000 : 20_000));
  print(await benchWhole(session, quick ? 3 : 10));
}
