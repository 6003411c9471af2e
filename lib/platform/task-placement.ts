/** Where ECS puts tasks: on the instances that are there, or on those that a capacity provider gives, also from none. */

export type TaskPlacement =
  | { readonly launchType: 'EC2' }
  | { readonly capacityProviderStrategy: { readonly capacityProvider: string; readonly weight: number }[] };

/** A launch type would keep ECS from asking the provider for instances, so it is one or the other. */
export function placementOf(capacityProvider: string | undefined): TaskPlacement {
  if (capacityProvider === undefined) return { launchType: 'EC2' };
  return { capacityProviderStrategy: [{ capacityProvider, weight: 1 }] };
}
