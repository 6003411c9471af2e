/** `wharf builds`. */
import type { Command } from 'commander';
import { defined } from '../../platform/values/index.js';
import type { CliDeps } from '../deps.js';
import { whole } from './option-values.js';
import { connected, type Shared, talking } from './shared-options.js';

export function addBuilds(wharf: Command, deps: CliDeps): void {
  const builds = talking(wharf.command('builds'))
    .description('builds, newest first')
    .option('--limit <n>', 'so many at most', whole, 20)
    .action(async ({ limit, json, ...options }: Shared & { limit: number }) => {
      const { listBuilds } = await import('../commands/builds.js');
      await listBuilds(defined({ limit, json }), await connected(deps, options));
    });
  // What stands before the name belongs to the command above.
  const input = (id: string, command: Command) => {
    const { json, ...options } = command.optsWithGlobals<Shared>();
    return { one: defined({ id, json }), options };
  };
  talking(builds.command('log'))
    .description('what a build says, from its beginning to its end; fails when the build does')
    .argument('<id>', 'of the build')
    .action(async (id: string, _: unknown, command: Command) => {
      const { one, options } = input(id, command);
      const { showBuildLog } = await import('../commands/builds.js');
      await showBuildLog(one, await connected(deps, options));
    });
  talking(builds.command('cancel'))
    .description('ask a build to stop; one that has ended stays as it is')
    .argument('<id>', 'of the build')
    .action(async (id: string, _: unknown, command: Command) => {
      const { one, options } = input(id, command);
      const { cancelBuild } = await import('../commands/builds.js');
      await cancelBuild(one, await connected(deps, options));
    });
}
