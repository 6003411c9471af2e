/** An operation of the API: a schema for its input and a handler for what the schema let through. */
import type * as z from 'zod';
import { clusterNotFound } from '../ecs-error.js';
import type { Context } from '../context.js';
import type { ServiceScheduler } from '../services/scheduler.js';
import type { ClusterState } from '../state/model.js';
import type { TaskLifecycle } from '../tasks/lifecycle.js';
import { parseInput } from './input.js';

export interface Api {
  readonly context: Context;
  readonly lifecycle: TaskLifecycle;
  readonly scheduler: ServiceScheduler;
  /** After a change of the cluster's instances or capacity providers: who waits for room looks again. */
  clusterChanged(cluster: string): Promise<void>;
}

/** Takes the parsed JSON of a request, gives the JSON of the response. Times are epoch seconds. */
export interface Operation {
  (api: Api, raw: unknown): Promise<object>;
  /** What it takes; absent of an operation that is refused whole. */
  readonly input?: z.ZodType;
}

export function operation<T>(schema: z.ZodType<T>, handle: (api: Api, input: T) => Promise<object>): Operation {
  const run = (api: Api, raw: unknown): Promise<object> => handle(api, parseInput(schema, raw));
  return Object.assign(run, { input: schema });
}

/** A failure inside a successful response. */
export interface Failure {
  readonly arn: string;
  readonly reason: string;
  readonly detail?: string;
}

/** The cluster a request is about, `default` when it names none. @throws ClusterNotFoundException */
export async function requireCluster(api: Api, nameOrArn: string | undefined): Promise<ClusterState> {
  const cluster = await api.context.state.clusters.get(
    '',
    api.context.arns.shortName('cluster', nameOrArn ?? 'default'),
  );
  if (cluster?.status !== 'ACTIVE') throw clusterNotFound();
  return cluster;
}
