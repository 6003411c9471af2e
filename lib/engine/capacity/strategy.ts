/**
 * Capacity provider strategies: which provider each task of a launch goes to. The base comes first, the rest follows the
 * weights. Pure.
 */
import { clientError, invalidParameter } from '../ecs-error.js';
import type { CapacityProviderStrategyItem, ClusterState } from '../state/model.js';

const MOST_ITEMS = 20;

/**
 * @param cluster the one the launch is for; every provider must be associated with it
 * @throws InvalidParameterException; ClientException for FARGATE
 */
export function checkStrategy(
  strategy: readonly CapacityProviderStrategyItem[],
  cluster: Pick<ClusterState, 'name' | 'capacityProviders'>,
): void {
  if (strategy.length > MOST_ITEMS) {
    throw invalidParameter(`A capacity provider strategy has at most ${String(MOST_ITEMS)} capacity providers.`);
  }
  const names = strategy.map((item) => item.capacityProvider);
  for (const name of names) refuseFargate(name);
  const stranger = names.find((name) => !cluster.capacityProviders.includes(name));
  if (stranger !== undefined) {
    throw invalidParameter(
      `The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster: ${stranger} is not associated with ${cluster.name}. Specify a valid capacity provider and try again.`,
    );
  }
  if (new Set(names).size < names.length) {
    throw invalidParameter('The specified capacity provider strategy cannot contain duplicate capacity providers.');
  }
  if (strategy.filter((item) => (item.base ?? 0) > 0).length > 1) {
    throw invalidParameter('The specified capacity provider strategy can have only one capacity provider with a base.');
  }
  if (strategy.length > 1 && strategy.every((item) => (item.weight ?? 0) === 0)) {
    throw invalidParameter(
      'The specified capacity provider strategy must contain at least one capacity provider with a weight greater than 0.',
    );
  }
}

/** The operations on clusters declare no UnsupportedFeatureException. @throws ClientException */
export function refuseFargate(provider: string): void {
  if (!/^FARGATE(_SPOT)?$/i.test(provider)) return;
  throw clientError(
    `The capacity provider ${provider} is not supported by this engine: use one of an Auto Scaling group.`,
  );
}

/**
 * The provider of the next task.
 * @param counts tasks that each provider has already, of this launch or of this service
 */
export function nextProvider(
  strategy: readonly CapacityProviderStrategyItem[],
  counts: ReadonlyMap<string, number>,
): string | undefined {
  const count = (item: CapacityProviderStrategyItem): number => counts.get(item.capacityProvider) ?? 0;
  const base = strategy.find((item) => count(item) < (item.base ?? 0));
  if (base !== undefined) return base.capacityProvider;
  // A provider that stands alone needs no weight.
  const weight = (item: CapacityProviderStrategyItem): number => (strategy.length === 1 ? 1 : (item.weight ?? 0));
  let best: { readonly name: string; readonly share: number } | undefined;
  for (const item of strategy) {
    if (weight(item) === 0) continue;
    // What it would have for its weight with this task; the base is outside the ratio.
    const share = (count(item) - (item.base ?? 0) + 1) / weight(item);
    if (best === undefined || share < best.share) best = { name: item.capacityProvider, share };
  }
  return best?.name;
}
