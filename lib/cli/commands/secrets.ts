/** `wharf secret`: what `--secret` of `wharf deploy` and `wharf run` names. Values go in and are never shown. */
import { AppError } from '../../errors/index.js';
import type { CommandDeps } from '../deps.js';
import { formatTable, printJson } from '../output.js';
import { readSecretInput } from '../read-stdin.js';

interface OneSecret {
  readonly name: string;
  readonly json?: boolean;
}

export async function setSecret({ name, json }: OneSecret, deps: CommandDeps): Promise<void> {
  const { client, output, terminal } = deps;
  if (terminal !== undefined) output.say('the value, then Ctrl-D:\n');
  const value = await readSecretInput(deps);
  if (value === '') {
    const hint = `wharf secret set ${name} < FILE`;
    throw new AppError('SECRET_EMPTY', 'standard input is empty, and the value is read from there', { hint });
  }
  await client.secrets.put(name, value);
  if (json === true) return printJson(output, { name });
  output.result(`${name}\n`);
}

export async function listSecrets({ json }: Pick<OneSecret, 'json'>, { client, output }: CommandDeps): Promise<void> {
  const secrets = await client.secrets.list();
  if (json === true) return printJson(output, { secrets });
  output.result(
    formatTable(
      ['SECRET'],
      secrets.map(({ name }) => [name]),
    ),
  );
}

export async function removeSecret({ name, json }: OneSecret, { client, output }: CommandDeps): Promise<void> {
  await client.secrets.remove(name);
  if (json === true) return printJson(output, { name });
  output.result(`${name}\n`);
}
