/** The two limits of a rolling deployment and the threshold of its circuit breaker: arithmetic of ECS, nothing else. */
import type { CircuitBreaker } from '../state/service-model.js';

export interface Bounds {
  /** At least so many tasks stay healthy. */
  readonly lower: number;
  /** At most so many tasks are meant to run. */
  readonly upper: number;
}

export function deploymentBounds(desired: number, minimumHealthyPercent: number, maximumPercent: number): Bounds {
  return {
    // More than are wanted can never be asked of it: nothing could be replaced.
    lower: Math.min(desired, Math.ceil((desired * minimumHealthyPercent) / 100)),
    upper: Math.floor((desired * maximumPercent) / 100),
  };
}

const FEWEST = 3;
const MOST = 200;

/** Failures at which a deployment is given up. */
export function breakerThreshold(breaker: CircuitBreaker, desired: number): number {
  const share = Math.ceil((breaker.thresholdValue * desired) / 100);
  switch (breaker.thresholdType) {
    case 'COUNT':
      return breaker.thresholdValue;
    case 'UNBOUNDED_PERCENT':
      return Math.max(1, share);
    case 'BOUNDED_PERCENT':
    default:
      return Math.min(MOST, Math.max(FEWEST, share));
  }
}
