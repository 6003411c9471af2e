/** What runs, and into it: `wharf ps`, `events`, `explain`, `logs`, `exec`, `stop` and `rm`. */
import type { Command } from 'commander';
import { defined } from '../../platform/values/index.js';
import { events } from '../commands/events.js';
import { exec } from '../commands/exec.js';
import { explain } from '../commands/explain.js';
import { logs } from '../commands/logs.js';
import { ps } from '../commands/ps.js';
import { remove, stop } from '../commands/stop.js';
import type { CliDeps } from '../deps.js';
import { duration, whole } from './option-values.js';
import { connected, type Shared, talking, waiting, type Waiting } from './shared-options.js';

interface ExecOptions extends Shared {
  readonly cluster?: string;
  readonly container?: string;
  readonly interactive?: boolean;
  readonly tty?: boolean;
}

export function addLooking(wharf: Command, deps: CliDeps): void {
  talking(wharf.command('ps'))
    .description('services and tasks')
    .argument('[service]', 'only this one')
    .option('--cluster <name>', 'only this cluster')
    .option('-a, --all', 'stopped tasks too')
    .action(async (service: string | undefined, options: Shared & { cluster?: string; all?: boolean }) => {
      const { cluster, all, json } = options;
      await ps(defined({ service, cluster, all, json }), await connected(deps, options));
    });
  talking(wharf.command('events'))
    .description('what happened, the newest at the end')
    .argument('[service]', 'only to this one')
    .option('--cluster <name>', 'only in this cluster')
    .option('--limit <n>', 'the last so many', whole, 50)
    .action(async (service: string | undefined, options: Shared & { cluster?: string; limit: number }) => {
      const { cluster, limit, json } = options;
      await events(defined({ service, cluster, limit, json }), await connected(deps, options));
    });
  talking(wharf.command('explain'))
    .description('why tasks of a service have no place, instance by instance')
    .argument('<service>', 'its name')
    .option('--cluster <name>', 'the cluster (default: the only one)')
    .action(async (service: string, options: Shared & { cluster?: string }) => {
      const { cluster, json } = options;
      await explain(defined({ service, cluster, json }), await connected(deps, options));
    });
  talking(wharf.command('logs'))
    .description('what a task wrote, or all tasks of a service')
    .argument('<name>', 'a service, or the beginning of a task id')
    .option('--cluster <name>', 'the cluster (default: the only one)')
    .option('-f, --follow', 'go on as it writes')
    .option('--since <duration>', 'only the last 30s, 10m or 2h', duration)
    .action(async (name: string, options: Shared & { cluster?: string; follow?: boolean; since?: number }) => {
      const { cluster, follow, since, json } = options;
      const sinceMs = since === undefined ? undefined : deps.clock.nowMs() - since;
      await logs(defined({ name, cluster, follow, sinceMs, json }), await connected(deps, options));
    });
  talking(wharf.command('exec'))
    .description("run a command in a running container; its exit code is this command's")
    .argument('<name>', 'a service, or the beginning of a task id')
    .argument('<command...>', 'the command, after --')
    .option('--cluster <name>', 'the cluster (default: the only one)')
    .option('--container <name>', 'the container (default: the first essential one)')
    .option('-i, --interactive', 'hand standard input on')
    .option('-t, --tty', 'give it a terminal')
    .action(async (name: string, command: string[], options: ExecOptions) => {
      const { cluster, container, interactive, tty } = options;
      const input = defined({ name, command, cluster, container, interactive, tty });
      await exec(input, await connected(deps, options));
    });
}

export function addStopping(wharf: Command, deps: CliDeps): void {
  const input = (name: string, { cluster, wait, timeout, json }: Waiting) =>
    defined({ name, cluster, wait, timeoutSeconds: timeout, json });
  waiting(wharf.command('stop'), 120)
    .description('stop a task, or all tasks of a service, which stays')
    .argument('<name>', 'a service, or the beginning of a task id')
    .action(async (name: string, options: Waiting) => stop(input(name, options), await connected(deps, options)));
  waiting(wharf.command('rm'), 120)
    .description('stop all tasks of a service and delete it')
    .argument('<service>', 'its name')
    .action(async (name: string, options: Waiting) => remove(input(name, options), await connected(deps, options)));
}
