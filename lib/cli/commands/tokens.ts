/** `wharf token`: who may use the HTTP API, as what, and until when. */
import type { Role } from '../../auth/index.js';
import { AppError } from '../../errors/index.js';
import type { CommandDeps } from '../deps.js';
import { formatAge, formatTable, printJson } from '../output.js';

export interface NewTokenInput {
  readonly name: string;
  readonly role: Role;
  readonly expiresInSeconds?: number;
  readonly json?: boolean;
}

export async function createToken(input: NewTokenInput, { client, output }: CommandDeps): Promise<void> {
  const created = await client.tokens.create(input.name, input.role, input.expiresInSeconds);
  if (input.json === true) return printJson(output, created);
  output.say(`token ${created.id}: ${created.name} may ${input.role}; its secret is shown this once\n`);
  output.result(`${created.token}\n`);
}

export async function listTokens({ json }: { readonly json?: boolean }, deps: CommandDeps): Promise<void> {
  const { client, output, clock } = deps;
  const tokens = await client.tokens.list();
  if (json === true) return printJson(output, { tokens });
  const nowMs = clock.nowMs();
  const rows = tokens.map(({ id, name, role, createdMs, expiresAtMs }) => [
    id,
    name,
    role,
    formatAge(nowMs - createdMs),
    expiresAtMs === undefined ? 'never' : `in ${formatAge(expiresAtMs - nowMs)}`,
  ]);
  output.result(formatTable(['TOKEN', 'NAME', 'ROLE', 'AGE', 'EXPIRES'], rows));
}

/** @param id or the name, where only one token has it */
export async function revokeToken(
  { id, json }: { readonly id: string; readonly json?: boolean },
  { client, output }: CommandDeps,
): Promise<void> {
  const tokens = await client.tokens.list();
  const [found, second] = tokens.filter((token) => token.id === id || token.name === id);
  if (second !== undefined) {
    const hint = 'the id of the one that is meant; wharf token ls shows it';
    throw new AppError('NAME_UNCLEAR', `several tokens are named ${id}`, { kind: 'conflict', hint });
  }
  const revoked = found?.id ?? id;
  await client.tokens.revoke(revoked);
  if (json === true) return printJson(output, { id: revoked });
  output.result(`${revoked}\n`);
}
