/** The only ways in which a service's record changes: with its news, in one transaction. */
import type { Expect } from '../../store/index.js';
import type { Context } from '../context.js';
import type { TaskState } from '../state/model.js';
import type { ServiceState } from '../state/service-model.js';
import type { Accompany } from '../tasks/task-changes.js';
import { transactUntilWon } from '../state/table.js';
import { afterTaskEnd } from './task-end.js';
import { emitNews, newsWrites, type News } from './news.js';

/** An INACTIVE service stays describable so long. */
const INACTIVE_KEPT_MS = 3_600_000;

export interface ServiceWithNews {
  readonly service: ServiceState;
  readonly news: readonly News[];
}

/** @returns false when the record does not stand as expected any more; nothing was written or told then */
export async function writeService(context: Context, next: ServiceWithNews, expect: Expect): Promise<boolean> {
  const { state } = context;
  const writes = await serviceWrites(context, next, expect);
  const outcome = await state.records.transact(writes);
  if (outcome.outcome === 'lost') return false;
  emitNews(context, next.service, next.news);
  return true;
}

/**
 * Changes a service until it wins its race; the change may run more than once. The same service object back means
 * that only the news are written.
 * @returns the service that stands; undefined when there is none
 */
export async function changeService(
  context: Context,
  cluster: string,
  name: string,
  change: (service: ServiceState) => ServiceWithNews,
): Promise<ServiceState | undefined> {
  const { state } = context;
  const done = await transactUntilWon(state.records, async () => {
    const stored = await state.services.stored(cluster, name);
    if (stored === undefined) return undefined;
    const next = change(stored.value);
    const idle = next.service === stored.value && next.news.length === 0;
    const writes = idle ? [] : await serviceWrites(context, next, { version: stored.version });
    return { writes, result: next };
  });
  if (done === undefined) return undefined;
  emitNews(context, done.service, done.news);
  return done.service;
}

/**
 * The writes by which the service of a task that ended learns of it. They go into the transaction that ends the task,
 * so that nobody can see the task gone and the service not knowing why.
 */
export async function taskEndWrites(context: Context, task: TaskState): ReturnType<Accompany> {
  const nothing = { writes: [], written: () => undefined };
  if (task.serviceName === undefined) return nothing;
  const stored = await context.state.services.stored(task.clusterName, task.serviceName);
  if (stored === undefined || stored.value.status === 'INACTIVE') return nothing;
  const { relaunchDelayMs, earlyExitFailsDeployment } = context.options;
  const nowMs = context.deps.clock.nowMs();
  const next = afterTaskEnd(stored.value, task, { relaunchDelayMs, earlyExitFailsDeployment, nowMs });
  if (next.service === stored.value) return nothing;
  return {
    writes: await serviceWrites(context, next, { version: stored.version }),
    written: () => emitNews(context, next.service, next.news),
  };
}

async function serviceWrites(
  context: Context,
  { service, news }: ServiceWithNews,
  expect: Expect,
): ReturnType<typeof newsWrites> {
  const { state, deps } = context;
  const expiry = service.status === 'INACTIVE' ? { expiresAtMs: deps.clock.nowMs() + INACTIVE_KEPT_MS } : {};
  return [
    { op: 'put', key: state.services.key(service.clusterName, service.name), value: service, expect, ...expiry },
    ...(await newsWrites(context, service, news)),
  ];
}
