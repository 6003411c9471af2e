/** `wharf ps`: services and their tasks. */
import type { Service, Task } from '../../platform/index.js';
import type { CommandDeps } from '../deps.js';
import { waitingLines } from './explain.js';
import { formatAge, formatTable, printJson } from '../output.js';

export interface PsInput {
  readonly cluster?: string;
  readonly service?: string;
  /** Stopped tasks too. */
  readonly all?: boolean;
  readonly json?: boolean;
}

export async function ps(input: PsInput, deps: CommandDeps): Promise<void> {
  const clusters =
    input.cluster === undefined
      ? (await deps.client.clusters.list({ limit: 1000 })).clusters.map(({ name }) => name)
      : [input.cluster];
  const services: Service[] = [];
  const tasks: Task[] = [];
  for (const cluster of clusters) {
    const found = (await deps.client.services.list(cluster, { limit: 1000 })).services;
    services.push(...found.filter(({ name }) => input.service === undefined || name === input.service));
    tasks.push(...(await allTasks(cluster, input, deps)));
  }
  tasks.sort((a, b) => (a.service ?? '').localeCompare(b.service ?? '') || (a.createdMs ?? 0) - (b.createdMs ?? 0));
  if (input.json === true) printJson(deps.output, { services, tasks });
  else {
    const waiting = (await waitingLines(services, deps)).map((line) => `\n${line}\n`).join('');
    deps.output.result(`${serviceTable(services)}\n${taskTable(tasks, deps.clock.nowMs())}${waiting}`);
  }
}

export async function allTasks(
  cluster: string,
  input: { readonly service?: string; readonly all?: boolean },
  { client }: CommandDeps,
): Promise<readonly Task[]> {
  const found: Task[] = [];
  let cursor: string | undefined;
  do {
    const page = await client.tasks.list(cluster, {
      limit: 1000,
      status: input.all === true ? 'all' : 'running',
      ...(input.service === undefined ? {} : { service: input.service }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    found.push(...page.tasks);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return found;
}

function serviceTable(services: readonly Service[]): string {
  return formatTable(
    ['CLUSTER', 'SERVICE', 'RELEASE', 'IMAGE', 'TASKS', 'DEPLOYMENT', 'URL'],
    services.map((service) => [
      service.cluster,
      service.name,
      String(service.release),
      service.image,
      `${service.count.running}/${service.count.desired}`,
      service.deployment?.status ?? '',
      service.url ?? '',
    ]),
  );
}

function taskTable(tasks: readonly Task[], nowMs: number): string {
  return formatTable(
    ['TASK', 'SERVICE', 'RELEASE', 'STATUS', 'INSTANCE', 'PORTS', 'AGE'],
    tasks.map((task) => [
      task.id.slice(0, 12),
      task.service ?? '-',
      task.release === undefined ? '-' : String(task.release),
      task.runtime === undefined ? task.status : `${task.status} (${task.runtime})`,
      (task.instance ?? '').slice(0, 12),
      task.containers.flatMap(({ ports }) => ports.map((port) => `${port.host}->${port.container}`)).join(','),
      task.createdMs === undefined ? '' : formatAge(nowMs - task.createdMs),
    ]),
  );
}
