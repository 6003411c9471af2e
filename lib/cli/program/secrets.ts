/** `wharf secret`. */
import type { Command } from 'commander';
import { defined } from '../../platform/values/index.js';
import { listSecrets, removeSecret, setSecret } from '../commands/secrets.js';
import type { CliDeps } from '../deps.js';
import { connected, type Shared, talking } from './shared-options.js';

export function addSecrets(wharf: Command, deps: CliDeps): void {
  const secret = wharf.command('secret').description('values that deploy and run hand to containers by name');
  talking(secret.command('set'))
    .description('keep one, sealed; its value is read from standard input')
    .argument('<name>', 'letters, digits and _ . - in parts between slashes')
    .action(async (name: string, { json, ...options }: Shared) =>
      setSecret(defined({ name, json }), await connected(deps, options)),
    );
  talking(secret.command('ls'))
    .description('their names')
    .action(async ({ json, ...options }: Shared) => listSecrets(defined({ json }), await connected(deps, options)));
  talking(secret.command('rm'))
    .description('forget one; tasks that run keep what they have')
    .argument('<name>', 'its name')
    .action(async (name: string, { json, ...options }: Shared) =>
      removeSecret(defined({ name, json }), await connected(deps, options)),
    );
}
