/**
 * The explanations that are kept: of every service that waits for room, until it has it, and of every RunTask or
 * StartTask that found none, for an hour.
 */
import type { Context } from '../context.js';
import type { Unplaced } from '../state/side-model.js';

const ATTEMPT_KEPT_MS = 3_600_000;
const serviceKey = (service: string): string => `service#${service}`;

/** Writes only when it says something new. */
export async function noteWaiting(context: Context, unplaced: Unplaced & { readonly service: string }): Promise<void> {
  const { unplaced: table } = context.state;
  const before = await table.get(unplaced.cluster, serviceKey(unplaced.service));
  if (before !== undefined && sameReason(before, unplaced)) return;
  await table.put(unplaced.cluster, serviceKey(unplaced.service), unplaced);
}

const waitingKey = (provider: string, group: string): string => `waiting#${provider}#${group}`;

/**
 * What waits for each capacity provider now; what stood there before and waits no more goes. Writes only news.
 */
export async function noteProvisioning(
  context: Context,
  cluster: string,
  waiting: readonly (Unplaced & { readonly capacityProvider: string })[],
): Promise<void> {
  const { unplaced: table } = context.state;
  const keys = new Map(waiting.map((each) => [waitingKey(each.capacityProvider, each.group), each]));
  for (const before of await table.all(cluster, 'waiting#')) {
    const key = waitingKey(before.capacityProvider ?? '', before.group);
    const now = keys.get(key);
    if (now === undefined) await table.delete(cluster, key);
    else if (sameReason(before, now)) keys.delete(key);
  }
  for (const [key, each] of keys) await table.put(cluster, key, each);
}

export async function noteRoom(context: Context, cluster: string, service: string): Promise<void> {
  const { unplaced: table } = context.state;
  if ((await table.get(cluster, serviceKey(service))) === undefined) return;
  await table.delete(cluster, serviceKey(service));
}

export async function noteAttempt(context: Context, unplaced: Unplaced): Promise<void> {
  const { clock, ids } = context.deps;
  await context.state.unplaced.put(
    unplaced.cluster,
    `attempt#${ids.ulid()}`,
    unplaced,
    clock.nowMs() + ATTEMPT_KEPT_MS,
  );
}

/** Services that wait first, then tasks that wait for capacity, then attempts, oldest first. */
export async function allUnplaced(context: Context, cluster: string): Promise<readonly Unplaced[]> {
  const { unplaced: table } = context.state;
  const kinds = ['service#', 'waiting#', 'attempt#'].map((prefix) => table.all(cluster, prefix));
  return (await Promise.all(kinds)).flat();
}

export async function unplacedService(
  context: Context,
  cluster: string,
  service: string,
): Promise<Unplaced | undefined> {
  const { unplaced: table } = context.state;
  const own = await table.get(cluster, serviceKey(service));
  if (own !== undefined) return own;
  return (await table.all(cluster, 'waiting#')).find(({ group }) => group === `service:${service}`);
}

function sameReason(a: Unplaced, b: Unplaced): boolean {
  const timeless = (each: Unplaced): string => JSON.stringify({ ...each, atMs: 0 });
  return timeless(a) === timeless(b);
}
