/**
 * The rates at which ECS takes calls, as Amazon publishes them: a bucket for each class of operations, shared by an
 * account in a region. A caller that keeps to them waits here for a moment instead of being refused there.
 */
import type { Clock } from '../../store/index.js';

interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

/** "Request throttling for the Amazon ECS API", Amazon ECS API Reference. */
const RATES: Readonly<Record<string, Rate>> = {
  'resource-modify': { burst: 100, perSecond: 40 },
  'resource-read': { burst: 100, perSecond: 20 },
  'service-modify': { burst: 50, perSecond: 5 },
  'service-read': { burst: 100, perSecond: 20 },
  'definition-modify': { burst: 20, perSecond: 1 },
  'definition-read': { burst: 50, perSecond: 20 },
  'cluster-modify': { burst: 20, perSecond: 1 },
  'cluster-read': { burst: 50, perSecond: 20 },
  'provider-modify': { burst: 10, perSecond: 1 },
};

const CLASSES: readonly (readonly [operation: RegExp, name: keyof typeof RATES])[] = [
  [/^(Run|Start|Stop)Task$|^ExecuteCommand$/, 'resource-modify'],
  [/^(De)?[Rr]egisterContainerInstance$|^UpdateContainerInstancesState$/, 'resource-modify'],
  [/^(Describe|List)(Tasks|ContainerInstances)$/, 'resource-read'],
  [/^(Create|Update|Delete)Service$/, 'service-modify'],
  [/^(Describe|List)Services$/, 'service-read'],
  [/^(De)?[Rr]egisterTaskDefinition$/, 'definition-modify'],
  [/^DescribeTaskDefinition$|^ListTaskDefinition/, 'definition-read'],
  [/^(Create|Update|Delete)CapacityProvider$/, 'provider-modify'],
  [/^(Create|Update|Delete)Cluster$|^PutClusterCapacityProviders$/, 'cluster-modify'],
  [/^Describe(Clusters|CapacityProviders)$/, 'cluster-read'],
];

interface Level {
  tokens: number;
  atMs: number;
}

/** The buckets of one process: others of the account draw on the same ones at ECS, which retries make up for. */
export class EcsRates {
  private readonly levels = new Map<string, Level>();

  constructor(private readonly clock: Clock) {}

  /** Comes back when the call may be made. */
  async take(operation: string, signal?: AbortSignal): Promise<void> {
    const [, name] = CLASSES.find(([pattern]) => pattern.test(operation)) ?? [];
    const rate = name === undefined ? undefined : RATES[name];
    if (name === undefined || rate === undefined) return;
    const nowMs = this.clock.nowMs();
    const level = this.levels.get(name) ?? { tokens: rate.burst, atMs: nowMs };
    const gained = (Math.max(0, nowMs - level.atMs) / 1000) * rate.perSecond;
    // May go below zero: that is the line of those who wait, in order.
    const tokens = Math.min(rate.burst, level.tokens + gained) - 1;
    this.levels.set(name, { tokens, atMs: nowMs });
    if (tokens < 0) await this.clock.sleep((-tokens / rate.perSecond) * 1000, signal);
  }
}
