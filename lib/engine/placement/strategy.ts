/**
 * Placement strategies in sequence: each keeps only the instances that are best by it, the next one chooses among those.
 * The same order, turned round, says which task goes first when a service shrinks.
 */
import { invalidParameter } from '../ecs-error.js';
import type { PlacementStrategyState } from '../state/model.js';
import { kibibytesToPull, LOCALITY, type Pulls } from './locality.js';
import type { InstanceSnapshot } from './snapshot.js';

/** The service default: spread over availability zones. */
const SERVICE_DEFAULT_STRATEGY: readonly PlacementStrategyState[] = [
  { type: 'spread', field: 'attribute:ecs.availability-zone' },
];

/** A service's own strategies, or the default. */
export function strategiesOf(own: readonly PlacementStrategyState[]): readonly PlacementStrategyState[] {
  return own.length > 0 ? own : SERVICE_DEFAULT_STRATEGY;
}

/** The instance to take; undefined when there is none. Ties go to the fewest tasks of the group, of all, then the id. */
export function narrow(
  candidates: readonly InstanceSnapshot[],
  strategies: readonly PlacementStrategyState[],
  group: string,
  random: () => number,
  /** Every instance of the cluster: spreading counts the tasks on the full ones too. */
  everywhere: readonly InstanceSnapshot[] = candidates,
  pulls?: Pulls,
): InstanceSnapshot | undefined {
  let left = candidates;
  for (const strategy of strategies) {
    if (strategy.type === 'random') return left[Math.floor(random() * left.length)];
    if (strategy.type === LOCALITY) left = least(left, ({ id }) => kibibytesToPull(pulls, id));
    else if (strategy.type === 'binpack') left = packed(left, strategy.field);
    else left = spread(left, strategy.field, group, everywhere);
  }
  left = least(left, (instance) => instance.groups.get(group) ?? 0);
  left = least(left, (instance) => instance.taskCount);
  return [...left].sort((a, b) => (a.id < b.id ? -1 : 1))[0];
}

function packed(candidates: readonly InstanceSnapshot[], field: string | undefined): readonly InstanceSnapshot[] {
  const cpu = field?.toLowerCase() === 'cpu';
  return least(candidates, (instance) => (cpu ? instance.remaining.cpu : instance.remaining.memoryMiB));
}

function spread(
  candidates: readonly InstanceSnapshot[],
  field: string | undefined,
  group: string,
  everywhere: readonly InstanceSnapshot[],
): readonly InstanceSnapshot[] {
  const counts = new Map<string, number>();
  for (const instance of everywhere) {
    const value = spreadValue(instance, field);
    counts.set(value, (counts.get(value) ?? 0) + (instance.groups.get(group) ?? 0));
  }
  return least(candidates, (instance) => counts.get(spreadValue(instance, field)) ?? 0);
}

/** What an instance counts as when spreading over a field; `host` means the instance itself. */
export function spreadValue(instance: InstanceSnapshot, field: string | undefined): string {
  if (field === undefined || field === 'instanceId' || field === 'host') return instance.id;
  return instance.attributes.get(field.replace(/^attribute:/, '')) ?? '';
}

function least(
  candidates: readonly InstanceSnapshot[],
  measure: (instance: InstanceSnapshot) => number,
): readonly InstanceSnapshot[] {
  let best = Infinity;
  let kept: InstanceSnapshot[] = [];
  for (const instance of candidates) {
    const value = measure(instance);
    if (value < best) {
      best = value;
      kept = [];
    }
    if (value === best) kept.push(instance);
  }
  return kept;
}

/** @throws InvalidParameterException for a field that the strategy does not have */
export function checkStrategies(strategies: readonly PlacementStrategyState[]): void {
  for (const { type, field } of strategies) {
    if (type === 'binpack' && !/^(cpu|memory)$/i.test(field ?? '')) {
      throw invalidParameter(`The field "${field ?? ''}" is not valid for binpack: cpu or memory.`);
    }
    if (type === 'spread' && !/^(instanceId|host|attribute:.+)$/.test(field ?? '')) {
      throw invalidParameter(`The field "${field ?? ''}" is not valid for spread: instanceId, host or attribute:NAME.`);
    }
    if ((type === 'random' || type === LOCALITY) && field !== undefined && field !== '') {
      throw invalidParameter(`The strategy ${type} takes no field.`);
    }
  }
}
