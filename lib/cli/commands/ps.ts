/** `wharf ps`: services and their tasks. */
import { AppError } from '../../errors/index.js';
import type { Service, Task } from '../../platform/index.js';
import type { CommandDeps } from '../deps.js';
import { waitingLines } from './explain.js';
import { formatAge, formatTable, printJson } from '../output.js';
import { findRelease, runningRelease } from './release-before.js';

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
  if (input.service !== undefined && services.length === 0) {
    const where = input.cluster === undefined ? 'any cluster' : `cluster ${input.cluster}`;
    throw new AppError('SERVICE_NOT_FOUND', `there is no service ${input.service} in ${where}`, {
      kind: 'not-found',
      hint: 'wharf ps without a name shows all',
    });
  }
  tasks.sort((a, b) => (a.service ?? '').localeCompare(b.service ?? '') || (a.createdMs ?? 0) - (b.createdMs ?? 0));
  if (input.json === true) printJson(deps.output, { services, tasks });
  else if (services.length === 0 && tasks.length === 0) deps.output.say(nothingRuns(clusters));
  else {
    const waiting = (await waitingLines(services, deps)).map((line) => `\n${line}\n`).join('');
    const rows = await Promise.all(services.map((service) => serviceRow(service, deps)));
    deps.output.result(`${formatTable(COLUMNS, rows)}\n${taskTable(tasks, deps.clock.nowMs())}${waiting}`);
  }
}

function nothingRuns(clusters: readonly string[]): string {
  const next = clusters.length === 0 ? 'wharf cluster create main' : 'wharf deploy NAME --image NAME[:TAG]';
  return `${clusters.length === 0 ? 'there is no cluster yet' : 'nothing runs'}; next: ${next}\n`;
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

const COLUMNS = ['CLUSTER', 'SERVICE', 'RELEASE', 'IMAGE', 'TASKS', 'DEPLOYMENT', 'URL'];

/** The release that runs, and what became of a newer one. */
async function serviceRow(service: Service, deps: CommandDeps): Promise<readonly string[]> {
  const { cluster, name, release, count, deployment, url = '' } = service;
  const running = runningRelease(service);
  const image = running === release ? service.image : (await findRelease(service, running, deps))?.spec.image;
  const status = deployment?.status ?? '';
  const tasks = `${count.running}/${count.desired}`;
  const outcome = running === release ? status : `release ${release} ${status}`;
  return [cluster, name, String(running), image ?? service.image, tasks, outcome, url];
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
