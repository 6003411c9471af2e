/** `wharf registry login`, `logout`, `logins`. */
import type { Command } from 'commander';
import { defined } from '../../platform/values/index.js';
import type { CliDeps } from '../deps.js';
import { connected, type Shared, talking } from './shared-options.js';

interface LoginOptions extends Shared {
  readonly username?: string;
  readonly passwordStdin?: boolean;
  readonly fromDocker?: boolean;
  readonly aws?: boolean;
  readonly check: boolean;
}

export function addRegistryLogins(registry: Command, deps: CliDeps): void {
  const host = 'as in a reference: ghcr.io, docker.io, 127.0.0.1:5000';
  talking(registry.command('login'))
    .description('log the platform in at another registry, for base images, caches and copies')
    .argument('<registry>', host)
    .option('-u, --username <name>', 'user name')
    .option('--password-stdin', 'read the password from standard input')
    .option('--from-docker', 'the login that docker keeps on this machine, or its credential helper')
    .option('--aws', "Amazon ECR, with the platform's own AWS identity")
    .option('--no-check', 'keep it without trying it')
    .action(async (given: string, options: LoginOptions) => {
      const { username, passwordStdin, fromDocker, aws, check, json } = options;
      const input = { registry: given, username, passwordStdin, fromDocker, aws, unchecked: !check, json };
      const { login } = await import('../commands/registry-logins.js');
      await login(defined(input), await connected(deps, options));
    });
  talking(registry.command('logout'))
    .description('forget a login')
    .argument('<registry>', host)
    .action(async (given: string, options: Shared) => {
      const { logout } = await import('../commands/registry-logins.js');
      await logout(defined({ registry: given, json: options.json }), await connected(deps, options));
    });
  talking(registry.command('logins'))
    .description('where the platform is logged in, without any secret')
    .action(async (options: Shared) => {
      const { listLogins } = await import('../commands/registry-logins.js');
      await listLogins(defined({ json: options.json }), await connected(deps, options));
    });
}
