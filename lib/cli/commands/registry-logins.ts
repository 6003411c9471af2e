/** `wharf registry login`, `logout`, `logins`: who the platform is at other registries. */
import { AppError } from '../../errors/index.js';
import type { RegistryLogin } from '../../registry/client/index.js';
import type { CommandDeps } from '../deps.js';
import { readDockerLogin } from '../docker-login.js';
import { formatTable, printJson } from '../output.js';
import { readSecretInput } from '../read-stdin.js';

export interface LoginInput {
  readonly registry: string;
  readonly username?: string;
  readonly passwordStdin?: boolean;
  /** Hand on the login that docker keeps. */
  readonly fromDocker?: boolean;
  /** Amazon ECR, by the platform's own AWS identity. */
  readonly aws?: boolean;
  /** Keep it without trying it. */
  readonly unchecked?: boolean;
  readonly json?: boolean;
}

/** @throws AppError LOGIN_INCOMPLETE and those of the registry that refuses it */
export async function login(input: LoginInput, deps: CommandDeps): Promise<void> {
  const { registry, unchecked, json } = input;
  const given = await loginOf(input, deps);
  await deps.client.registry.logins.put(registry, given, { unchecked: unchecked === true });
  if (json === true) return printJson(deps.output, { registry });
  deps.output.result(`the platform is logged in at ${registry}\n`);
}

export async function logout(
  { registry, json }: Pick<LoginInput, 'registry' | 'json'>,
  { client, output }: CommandDeps,
): Promise<void> {
  await client.registry.logins.remove(registry);
  if (json === true) return printJson(output, { registry });
  output.result(`the login at ${registry} is forgotten\n`);
}

export async function listLogins({ json }: Pick<LoginInput, 'json'>, { client, output }: CommandDeps): Promise<void> {
  const logins = await client.registry.logins.list();
  if (json === true) return printJson(output, { logins });
  const rows = logins.map(({ registry, kind, username = '' }) => [registry, kind, username]);
  output.result(formatTable(['REGISTRY', 'KIND', 'USER'], rows));
}

async function loginOf(input: LoginInput, deps: CommandDeps): Promise<RegistryLogin> {
  const { registry, username, passwordStdin, fromDocker, aws } = input;
  if (aws === true) return { ecr: true };
  if (fromDocker === true) return readDockerLogin(registry, deps.env);
  if (username !== undefined && passwordStdin === true) {
    return { username, password: await passwordFrom(deps) };
  }
  throw new AppError('LOGIN_INCOMPLETE', 'it is not said who to log in as', {
    hint: '--username with --password-stdin, --from-docker for the login docker keeps here, or --aws for Amazon ECR',
  });
}

async function passwordFrom(deps: CommandDeps): Promise<string> {
  const password = await readSecretInput(deps);
  if (password !== '') return password;
  throw new AppError('LOGIN_INCOMPLETE', 'standard input is empty', { hint: 'the password, and nothing else' });
}
