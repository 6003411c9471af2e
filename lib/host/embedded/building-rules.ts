/** What builds get and may do on this machine, as its operator says it; handed on to the parts of the builder. */
import type { Entitlement, ImageBuilderOptions, SourcePolicy } from '../../build/index.js';
import type { OverlaySandboxOptions } from '../../build/sandbox/sandbox-overlay.js';

export interface BuildingRules {
  /** Rights beyond the sandbox that a build may be given; none when absent. */
  readonly allow?: readonly Entitlement[];
  /** Ranges of addresses that ADD and contexts may be fetched from although they are not public. */
  readonly fetchFrom?: readonly string[];
  /** For all builds, beside the policies that requests have. */
  readonly sourcePolicy?: SourcePolicy;
  /** Every RUN has a recording proxy as its only way out. */
  readonly proxyNetwork?: boolean;
  /** Of each RUN at most; as much as there is when absent. */
  readonly memoryBytes?: number;
  readonly cpus?: number;
  readonly timeoutMs?: number;
}

/** A tenth of a second, as everywhere. */
const PERIOD_US = 100_000;

export function sandboxRules({ allow, memoryBytes, cpus }: BuildingRules = {}): {
  readonly runs: OverlaySandboxOptions;
} {
  return {
    runs: {
      ...(allow === undefined ? {} : { allow }),
      limits: {
        ...(memoryBytes === undefined ? {} : { memoryBytes }),
        ...(cpus === undefined ? {} : { cpuPeriodUs: PERIOD_US, cpuQuotaUs: Math.round(cpus * PERIOD_US) }),
      },
    },
  };
}

/**
 * @param workPlace where git works
 * @throws AppError EGRESS_RANGE_INVALID, BUILD_SOURCE_POLICY_INVALID, later, from the builder
 */
export function builderRules(
  workPlace: string,
  { fetchFrom, sourcePolicy, proxyNetwork, timeoutMs }: BuildingRules = {},
): Pick<ImageBuilderOptions, 'fetching' | 'runTimeoutMs' | 'sourcePolicy' | 'proxyNetwork'> {
  return {
    fetching: { workPlace, ...(fetchFrom === undefined ? {} : { egress: { allow: fetchFrom } }) },
    ...(sourcePolicy === undefined ? {} : { sourcePolicy }),
    ...(proxyNetwork === undefined ? {} : { proxyNetwork }),
    ...(timeoutMs === undefined ? {} : { runTimeoutMs: timeoutMs }),
  };
}
