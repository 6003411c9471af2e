/** `wharf events`: what happened, the newest at the end, as in a log. */
import type { CommandDeps } from '../deps.js';
import { printJson } from '../output.js';
import { chooseCluster } from './cluster-choice.js';

export interface EventsInput {
  readonly service?: string;
  readonly cluster?: string;
  /** The last so many. */
  readonly limit: number;
  readonly json?: boolean;
}

export async function events(input: EventsInput, deps: CommandDeps): Promise<void> {
  const { client, output } = deps;
  const { service, limit } = input;
  // A service is known in its cluster only.
  const cluster = service === undefined ? input.cluster : await chooseCluster(input.cluster, deps);
  const found = await client.events.list({
    limit,
    ...(cluster === undefined ? {} : { cluster }),
    ...(service === undefined ? {} : { service }),
  });
  if (input.json === true) return printJson(output, { events: found.events });
  for (const { timeMs, cluster: where, service: of, message } of found.events.toReversed()) {
    const subject = of === undefined ? where : `${where}/${of}`;
    output.result(`${new Date(timeMs).toISOString().replace(/\.\d+/, '')} ${subject}: ${message}\n`);
  }
}
