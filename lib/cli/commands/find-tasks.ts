/** What a name on the command line means: a service, or a task by the beginning of its id. */
import { AppError } from '../../errors/index.js';
import type { Service, Task } from '../../platform/index.js';
import type { CommandDeps } from '../deps.js';
import { allTasks } from './ps.js';

export type Found =
  { readonly kind: 'service'; readonly service: Service } | { readonly kind: 'task'; readonly task: Task };

const SHORTEST_PREFIX = 4;

/** @throws AppError NAME_UNKNOWN, NAME_UNCLEAR */
export async function findNamed(cluster: string, name: string, deps: CommandDeps): Promise<Found> {
  const services = (await deps.client.services.list(cluster, { limit: 1000 })).services;
  const service = services.find((each) => each.name === name);
  if (service !== undefined) return { kind: 'service', service };
  const isPrefix = name.length >= SHORTEST_PREFIX && /^[0-9a-f]+$/.test(name);
  const matches = isPrefix
    ? (await allTasks(cluster, { all: true }, deps)).filter(({ id }) => id.startsWith(name))
    : [];
  const [task, second] = matches;
  if (task !== undefined && second === undefined) return { kind: 'task', task };
  if (second !== undefined) {
    throw new AppError('NAME_UNCLEAR', `${matches.length} tasks begin with ${name}`, {
      kind: 'conflict',
      hint: 'more digits',
    });
  }
  throw new AppError('NAME_UNKNOWN', `cluster ${cluster} has neither a service nor a task ${name}`, {
    kind: 'not-found',
    hint: 'wharf ps --all shows both',
  });
}
