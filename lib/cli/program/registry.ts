/** `wharf registry`. */
import type { Command } from 'commander';
import { defined } from '../../platform/values/index.js';
import { registryStats, verifyRegistry } from '../commands/registry.js';
import type { CliDeps } from '../deps.js';
import { addRegistryAccess } from './registry-access.js';
import { addRegistryLogins } from './registry-logins.js';
import { addRegistryUpstreams } from './registry-upstreams.js';
import { connected, type Shared, talking } from './shared-options.js';

export function addRegistry(wharf: Command, deps: CliDeps): void {
  const registry = wharf.command('registry').description('what the registry stores, and who may use it');
  talking(registry.command('stats'))
    .description('how much it holds, and what it saves by keeping every blob once')
    .action(async (options: Shared) => registryStats(defined({ json: options.json }), await connected(deps, options)));
  talking(registry.command('verify'))
    .description('read everything back and hash it again; fails when something is damaged')
    .option('--repair', 'take damaged blobs out of use, so that a push or a build sends them anew')
    .action(async (options: Shared & { readonly repair?: boolean }) =>
      verifyRegistry(defined({ json: options.json, repair: options.repair }), await connected(deps, options)),
    );
  addRegistryAccess(registry, deps);
  addRegistryLogins(registry, deps);
  addRegistryUpstreams(registry, deps);
}
