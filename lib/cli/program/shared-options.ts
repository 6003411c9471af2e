/** Options that commands have in common, and the client that those who talk to a platform get. */
import type { Command } from 'commander';
import { WharfClient } from '../../client/index.js';
import { type ConnectionInput, findConnection } from '../connection.js';
import type { CliDeps, CommandDeps } from '../deps.js';
import { whole } from './option-values.js';

export interface Shared extends ConnectionInput {
  readonly json?: boolean;
}

export interface Waiting extends Shared {
  readonly wait: boolean;
  readonly timeout: number;
  readonly cluster?: string;
}

/** Options every command that talks to a platform has. */
export function talking(command: Command): Command {
  return command
    .option('--url <url>', 'where the platform is')
    .option('--token <token>', 'API token')
    .option('--data <dir>', 'data folder of a local platform (default: .wharf)')
    .option('--json', 'one JSON document on stdout');
}

export function waiting(command: Command, seconds: number): Command {
  return talking(command)
    .option('--cluster <name>', 'the cluster (default: the only one)')
    .option('--no-wait', 'return as soon as it is under way')
    .option('--timeout <seconds>', 'how long to wait', whole, seconds);
}

export async function connected(deps: CliDeps, options: ConnectionInput): Promise<CommandDeps> {
  const { http } = deps;
  const connection = findConnection(deps.cwd, deps.env, options);
  return { ...deps, client: new WharfClient({ ...connection, ...(http === undefined ? {} : { http }) }) };
}
