/** restartPolicy: whether a container that has ended by itself runs again, with the rules of the ECS agent. */
import type { ContainerPayload } from './types.js';

/**
 * @param exit the code it ended with, undefined when nobody saw it; when it ended; and when it was last started
 * @param isEnding whether its task is to stop
 */
export function mayRestart(
  policy: ContainerPayload['restartPolicy'],
  exit: { readonly exitCode?: number; readonly timeMs: number; readonly startedMs: number },
  isEnding: boolean,
): boolean {
  if (policy === undefined || isEnding || exit.exitCode === undefined) return false;
  if (policy.ignoredExitCodes.includes(exit.exitCode)) return false;
  // A short life may end before its start was noted.
  return Math.max(0, exit.timeMs - exit.startedMs) >= policy.attemptPeriodSeconds * 1000;
}
