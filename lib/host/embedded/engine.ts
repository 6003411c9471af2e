/** The engine of one machine, whatever runs its tasks: put together the same way inside the platform and alone. */
import { cpus, totalmem } from 'node:os';
import { createEngine, type Engine, type EngineOptions, type TargetGroups } from '../../engine/index.js';
import type { Logger } from '../../store/index.js';
import type { EmbeddedStore } from './store.js';
import type { EngineRuntime } from './engine-runtime.js';

export interface EmbeddedEngineDeps {
  readonly store: EmbeddedStore;
  readonly runtime: EngineRuntime;
  /** Absent: services with load balancers are refused. */
  readonly targetGroups?: TargetGroups;
  readonly logger: Logger;
}

export type EmbeddedEngineOptions = Pick<EngineOptions, 'region' | 'accountId' | 'scaleInAfterMs'>;

const MIB = 1024 * 1024;

export function embeddedEngine(deps: EmbeddedEngineDeps, options: EmbeddedEngineOptions): Engine {
  const { clock, ids, records } = deps.store;
  const { targetGroups } = deps;
  return createEngine(
    {
      records,
      agent: deps.runtime.agent,
      ...(targetGroups === undefined ? {} : { targetGroups }),
      clock,
      ids,
      logger: deps.logger.child({ part: 'engine' }),
    },
    {
      // Fifteen minutes, as in ECS, are long on a laptop.
      scaleInAfterMs: 60_000,
      ...options,
      architecture: process.arch === 'arm64' ? 'arm64' : 'x86_64',
      instanceSize: { cpu: cpus().length * 1024, memoryMiB: Math.floor(totalmem() / MIB) },
      // ECS waits 40 s for a task that nothing can be asked about; on a laptop a crash shows sooner.
      healthyAfterRunningMs: 5_000,
    },
  );
}
