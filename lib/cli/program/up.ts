/** `wharf up`. */
import type { Command } from 'commander';
import { up } from '../commands/up.js';
import type { CliDeps } from '../deps.js';
import type { Shared } from './shared-options.js';

export function addUp(wharf: Command, deps: CliDeps): void {
  wharf
    .command('up')
    .description('run the platform on this machine, until Ctrl-C')
    .option('--data <dir>', 'where it keeps everything (default: .wharf)')
    .option('--listen <host:port>', 'where it listens (default: 127.0.0.1:7070)')
    .option('--token <token>', 'a token to accept; one is made at first start otherwise')
    .option('--json', 'one JSON line with url, registry, ecs and token when it is ready')
    .action((options: Shared & { listen?: string }) => up(options, deps));
}
