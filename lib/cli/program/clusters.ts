/** `wharf cluster`. */
import type { Command } from 'commander';
import { defined } from '../../platform/values/index.js';
import { createCluster, listClusters, removeCluster } from '../commands/cluster.js';
import type { CliDeps } from '../deps.js';
import { whole } from './option-values.js';
import { connected, type Shared, talking } from './shared-options.js';

export function addClusters(wharf: Command, deps: CliDeps): void {
  const cluster = wharf.command('cluster').description('clusters and their instances');
  talking(cluster.command('create'))
    .description('make a cluster, or change its number of instances')
    .argument('<name>', 'lower-case letters, digits and hyphens')
    .option('--instances <n>', 'container instances; the least number with --max', whole, 1)
    .option('--max <n>', 'grow to so many when tasks find no room, and shrink again', whole)
    .action(async (name: string, options: Shared & { instances: number; max?: number }) => {
      const { instances, max, json } = options;
      await createCluster(defined({ name, instances, max, json }), await connected(deps, options));
    });
  talking(cluster.command('ls'))
    .description('all clusters')
    .action(async (options: Shared) => listClusters(defined({ json: options.json }), await connected(deps, options)));
  talking(cluster.command('rm'))
    .description('delete a cluster')
    .argument('<name>', 'its name')
    .option('--force', 'with all its services and tasks')
    .option('--timeout <seconds>', 'how long to wait', whole, 120)
    .action(async (name: string, options: Shared & { force?: boolean; timeout: number }) => {
      const { force, timeout, json } = options;
      const input = defined({ name, force, timeoutSeconds: timeout, json });
      await removeCluster(input, await connected(deps, options));
    });
}
