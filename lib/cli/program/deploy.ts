/** `wharf deploy`, `wharf rollback` and `wharf releases`. */
import type { Command } from 'commander';
import type { PortSpec } from '../../platform/index.js';
import { defined } from '../../platform/values/index.js';
import { deploy, parsePort } from '../commands/deploy.js';
import { releases } from '../commands/releases.js';
import { rollback } from '../commands/rollback.js';
import type { CliDeps } from '../deps.js';
import { collect, collectOptional, pairs, secretPairs, whole } from './option-values.js';
import { connected, type Shared, talking, waiting, type Waiting } from './shared-options.js';

interface DeployOptions extends Waiting {
  readonly image?: string;
  readonly count?: number;
  readonly port?: readonly string[];
  readonly env: readonly string[];
  readonly secret: readonly string[];
  readonly envRm?: readonly string[];
  readonly cpu?: number;
  readonly memory?: number;
  readonly healthPath?: string;
  readonly stopTimeout?: number;
}

export function addDeploy(wharf: Command, deps: CliDeps): void {
  waiting(wharf.command('deploy'), 900)
    .description('deploy a release of a service; what is not said stays as in the release that runs')
    .argument('<service>', 'its name')
    .argument('[command...]', 'the command of its containers, after --')
    .option('--image <name>', 'repository[:tag][@digest]')
    .option('--count <n>', 'how many tasks', whole)
    .option('--port <[host:]port[/udp]>', 'a port of the container; repeatable', collectOptional)
    .option('-e, --env <name=value>', 'environment variable; repeatable', collect, [])
    .option('--secret <name=secret>', 'variable whose value is a secret (wharf secret set); repeatable', collect, [])
    .option('--env-rm <name>', 'take a variable away, a secret one too; repeatable', collectOptional)
    .option('--cpu <units>', 'CPU units; 1024 are one core', whole)
    .option('--memory <MiB>', 'memory limit', whole)
    .option('--health-path <path>', 'HTTP path that must answer 200 to 399')
    .option('--stop-timeout <seconds>', 'between SIGTERM and SIGKILL', whole)
    .action(async (service: string, command: string[], options: DeployOptions) => {
      const { cluster, image, count, cpu, memory, healthPath, wait, timeout, json } = options;
      const ports: readonly PortSpec[] | undefined = options.port?.map(parsePort);
      const input = defined({
        service,
        cluster,
        image,
        count,
        ports,
        cpu,
        memory,
        healthPath,
        wait,
        json,
        command: command.length === 0 ? undefined : command,
        env: pairs(options.env, deps.env),
        secrets: secretPairs(options.secret),
        envRemoved: options.envRm,
        stopTimeoutSeconds: options.stopTimeout,
        timeoutSeconds: timeout,
      });
      await deploy(input, await connected(deps, options));
    });
  waiting(wharf.command('rollback'), 900)
    .description('deploy an earlier release again, as a new one')
    .argument('<service>', 'its name')
    .option('--to <release>', 'which one (default: the last complete one before the newest)', whole)
    .action(async (service: string, options: Waiting & { to?: number }) => {
      const { cluster, to, wait, timeout, json } = options;
      const input = defined({ service, cluster, to, wait, timeoutSeconds: timeout, json });
      await rollback(input, await connected(deps, options));
    });
  talking(wharf.command('releases'))
    .description('what was deployed of a service, newest first')
    .argument('<service>', 'its name')
    .option('--cluster <name>', 'the cluster (default: the only one)')
    .option('--limit <n>', 'so many at most', whole, 20)
    .action(async (service: string, options: Shared & { cluster?: string; limit: number }) => {
      const { cluster, limit, json } = options;
      await releases(defined({ service, cluster, limit, json }), await connected(deps, options));
    });
}
