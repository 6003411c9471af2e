/** `wharf token`. */
import { type Command, Option } from 'commander';
import type { Role } from '../../auth/index.js';
import { defined } from '../../platform/values/index.js';
import { createToken, listTokens, revokeToken } from '../commands/tokens.js';
import type { CliDeps } from '../deps.js';
import { lifetimeSeconds } from './option-values.js';
import { connected, type Shared, talking } from './shared-options.js';

export function addTokens(wharf: Command, deps: CliDeps): void {
  const token = wharf.command('token').description('who may use the HTTP API, and what for');
  talking(token.command('create'))
    .description('make one; prints its secret, this once')
    .argument('<name>', 'whose it is')
    .addOption(new Option('--role <role>', 'what it may').choices(['read', 'deploy', 'admin']).makeOptionMandatory())
    .option('--expires <duration>', 'when it ends, as in 12h or 90d (default: never)', lifetimeSeconds)
    .action(async (name: string, options: Shared & { role: Role; expires?: number }) => {
      const { role, expires, json } = options;
      await createToken(defined({ name, role, expiresInSeconds: expires, json }), await connected(deps, options));
    });
  talking(token.command('ls'))
    .description('all that are valid, without their secrets')
    .action(async ({ json, ...options }: Shared) => listTokens(defined({ json }), await connected(deps, options)));
  talking(token.command('revoke'))
    .description('make one stop working')
    .argument('<token>', 'its id, or its name')
    .action(async (id: string, { json, ...options }: Shared) =>
      revokeToken(defined({ id, json }), await connected(deps, options)),
    );
}
