/** A capacity provider's settings with the defaults of ECS filled in. What is stored is what was stated. */
import type { AutoScalingGroupProvider, CapacityProviderState, StatedGroupProvider } from '../state/side-model.js';

/** Managed scaling is on when it is spoken of at all. */
export function settingsOf({ autoScalingGroupProvider: stated }: CapacityProviderState): AutoScalingGroupProvider {
  const scaling = stated.managedScaling;
  return {
    autoScalingGroupArn: stated.autoScalingGroupArn,
    managedScaling: {
      status: scaling === undefined ? 'DISABLED' : (scaling.status ?? 'ENABLED'),
      targetCapacity: scaling?.targetCapacity ?? 100,
      minimumScalingStepSize: scaling?.minimumScalingStepSize ?? 1,
      maximumScalingStepSize: scaling?.maximumScalingStepSize ?? 10_000,
      instanceWarmupPeriod: scaling?.instanceWarmupPeriod ?? 300,
    },
    managedTerminationProtection: stated.managedTerminationProtection ?? 'DISABLED',
    managedDraining: stated.managedDraining ?? 'ENABLED',
  };
}

/** What is stated after a change of some of it. */
export function changedSettings(
  before: StatedGroupProvider,
  change: Partial<StatedGroupProvider>,
): StatedGroupProvider {
  const managedScaling =
    change.managedScaling === undefined
      ? before.managedScaling
      : { ...before.managedScaling, ...change.managedScaling };
  return { ...before, ...change, ...(managedScaling === undefined ? {} : { managedScaling }) };
}
