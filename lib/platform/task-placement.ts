/** Where ECS puts tasks: as the cluster has it by default, or on what a capacity provider gives, also from none. */

export type TaskPlacement =
  | { readonly capacityProviderStrategy?: never }
  | { readonly capacityProviderStrategy: { readonly capacityProvider: string; readonly weight: number }[] };

/** A launch type would keep ECS from asking the provider for instances, so it is one or the other. */
export function placementOf(capacityProvider: string | undefined): TaskPlacement {
  if (capacityProvider === undefined) return {};
  return { capacityProviderStrategy: [{ capacityProvider, weight: 1 }] };
}
