/** Where ECS puts tasks: as the cluster has it by default, or on what a capacity provider gives, also from none. */

export type TaskPlacement =
  | { readonly capacityProviderStrategy?: never }
  | { readonly capacityProviderStrategy: { readonly capacityProvider: string; readonly weight: number }[] };

/** The capacity provider of a cluster by the cluster's name; where all have one, that. */
export type ProviderNaming = string | ((cluster: string) => string);

/** A launch type would keep ECS from asking the provider for instances, so it is one or the other. */
export function placementOf(provider: ProviderNaming | undefined, cluster: string): TaskPlacement {
  const capacityProvider = typeof provider === 'function' ? provider(cluster) : provider;
  if (capacityProvider === undefined) return {};
  return { capacityProviderStrategy: [{ capacityProvider, weight: 1 }] };
}
