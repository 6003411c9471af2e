/** The way an instance's record changes other than by claims: `version` + 1 and an event. */
import type { Context } from '../context.js';
import { emitInstanceEvent } from '../instance-events.js';
import type { InstanceState } from '../state/model.js';

/** @returns the instance as it stands then; undefined when there is none */
export async function changeInstance(
  context: Context,
  cluster: string,
  id: string,
  change: (instance: InstanceState) => InstanceState,
  expiresAtMs?: number,
): Promise<InstanceState | undefined> {
  const after = await context.state.instances.update(
    cluster,
    id,
    (now) => ({ ...change(now), version: now.version + 1 }),
    expiresAtMs,
  );
  if (after !== undefined) emitInstanceEvent(context, after);
  return after;
}
