/** `wharf run`. */
import type { Command } from 'commander';
import { defined } from '../../platform/values/index.js';
import { parsePort } from '../commands/deploy.js';
import { runTasks } from '../commands/run-tasks.js';
import type { CliDeps } from '../deps.js';
import { collect, collectOptional, pairs, secretPairs, whole } from './option-values.js';
import { connected, waiting, type Waiting } from './shared-options.js';

interface RunTaskOptions extends Waiting {
  readonly count: number;
  readonly entrypoint?: string;
  readonly port?: readonly string[];
  readonly env: readonly string[];
  readonly secret: readonly string[];
  readonly cpu?: number;
  readonly memory?: number;
}

export function addRun(wharf: Command, deps: CliDeps): void {
  waiting(wharf.command('run'), 3600)
    .description("run a container once and wait for its end; its output and its exit code are this command's")
    .argument('<image>', 'repository[:tag][@digest]')
    .argument('[command...]', 'its command, after --')
    .option('--count <n>', 'so many equal tasks, 100 at most', whole, 1)
    .option('--entrypoint <program>', "in place of the image's")
    .option('--port <[host:]port[/udp]>', 'a port of the container; repeatable', collectOptional)
    .option('-e, --env <name=value>', 'environment variable; repeatable', collect, [])
    .option('--secret <name=secret>', 'variable whose value is a secret (wharf secret set); repeatable', collect, [])
    .option('--cpu <units>', 'CPU units; 1024 are one core', whole)
    .option('--memory <MiB>', 'memory limit', whole)
    .action(async (image: string, command: string[], options: RunTaskOptions) => {
      const { cluster, count, entrypoint, cpu, memory, wait, timeout, json } = options;
      const spec = defined({
        image,
        command: command.length === 0 ? undefined : command,
        entrypoint: entrypoint === undefined ? undefined : [entrypoint],
        env: pairs(options.env, deps.env),
        secrets: options.secret.length === 0 ? undefined : secretPairs(options.secret),
        ports: options.port?.map(parsePort),
        cpu,
        memory,
      });
      const input = defined({ spec, count, cluster, wait, timeoutSeconds: timeout, json });
      await runTasks(input, await connected(deps, options));
    });
}
