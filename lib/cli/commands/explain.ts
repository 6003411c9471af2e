/** `wharf explain`: why a service waits for room, instance by instance; and the one line that `wharf ps` shows of it. */
import { AppError } from '../../errors/index.js';
import { formatBytes } from '../../http/text/index.js';
import type { Placement, Service } from '../../platform/index.js';
import { chooseCluster } from './cluster-choice.js';
import type { CommandDeps } from '../deps.js';
import { formatTable, printJson } from '../output.js';

export interface ExplainInput {
  readonly service: string;
  readonly cluster?: string;
  readonly json?: boolean;
}

export async function explain(input: ExplainInput, deps: CommandDeps): Promise<void> {
  const cluster = await chooseCluster(input.cluster, deps);
  const { waiting } = await deps.client.services.placement(cluster, input.service);
  if (input.json === true) return printJson(deps.output, { waiting });
  if (waiting === null) return deps.output.result(`${input.service} has room for all tasks that it wants\n`);
  const pulls = waiting.instances.some(({ bytesToPull }) => bytesToPull !== undefined);
  const rows = waiting.instances.flatMap(({ instanceId, findings, bytesToPull }) =>
    findings.map(({ dimension, need, have, constraint }, index) => [
      index === 0 ? instanceId.slice(0, 12) : '',
      dimension,
      constraint ?? textOf(need),
      textOf(have),
      ...(pulls ? [index === 0 && bytesToPull !== undefined ? formatBytes(bytesToPull) : ''] : []),
    ]),
  );
  const columns = ['INSTANCE', 'WHAT', 'NEED', 'HAVE', ...(pulls ? ['TO PULL'] : [])];
  const { cpu, memoryMiB } = waiting.needs;
  deps.output.result(
    `${headline(waiting)}; a task asks for ${cpu} CPU units and ${memoryMiB} MiB\n\n` +
      `${rows.length === 0 ? 'no instance\n' : formatTable(columns, rows)}\n` +
      `${waiting.smallestFix}\n`,
  );
}

/** One line for each service that has fewer tasks than it wants because there is no room. */
export async function waitingLines(services: readonly Service[], { client }: CommandDeps): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const { cluster, name, count } of services) {
    if (count.running + count.pending >= count.desired) continue;
    const waiting = await client.services.placement(cluster, name).then(
      (answer) => answer.waiting,
      // It was deleted meanwhile, or the platform's ECS does not tell.
      (error: unknown) => {
        if (error instanceof AppError && ['unsupported', 'not-found'].includes(error.kind)) return null;
        throw error;
      },
    );
    if (waiting !== null) lines.push(`${headline(waiting)}. ${waiting.smallestFix}`);
  }
  return lines;
}

function headline({ group, tasks }: Placement): string {
  return `${group.replace(/^service:/, '')}: ${tasks} ${tasks === 1 ? 'task has' : 'tasks have'} no place`;
}

function textOf(value: number | readonly number[] | undefined): string {
  return value === undefined ? '' : String(value);
}
