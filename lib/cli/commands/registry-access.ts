/** `wharf registry robot …`, `publish`, `unpublish`, `sparse`: what holds for which repositories. */
import type { Grant, NewRobotSecret, RobotInfo, RobotSpec } from '../../auth/index.js';
import type { CommandDeps } from '../deps.js';
import { formatAge, formatTable, type Output, printJson } from '../output.js';

interface Json {
  readonly json?: boolean;
}

export interface RobotInput extends Json {
  readonly name: string;
}

export interface RobotSettingsInput extends RobotInput, RobotSpec {}

export async function createRobot(input: RobotSettingsInput, { client, output }: CommandDeps): Promise<void> {
  const { name, json, ...spec } = input;
  const robot = await client.registry.robots.create(name, spec);
  if (json === true) return printJson(output, robot);
  output.say(`robot ${name} may ${formatGrants(robot.grants)}; its secret is shown this once\n`);
  output.result(`${robot.secret}\n`);
}

export async function changeRobot(input: RobotSettingsInput, { client, output }: CommandDeps): Promise<void> {
  const { name, json, ...spec } = input;
  const robot = await client.registry.robots.change(name, spec);
  if (json === true) return printJson(output, robot);
  output.result(`robot ${name} may ${formatGrants(robot.grants)}\n`);
}

export async function listRobots({ json }: Json, { client, output, clock }: CommandDeps): Promise<void> {
  const robots = await client.registry.robots.list();
  if (json === true) return printJson(output, { robots });
  const rows = robots.map((robot) => [
    robot.name,
    formatGrants(robot.grants),
    formatExpiry(robot, clock.nowMs()),
    robot.secrets.map(({ id, createdMs }) => `${id} (${formatAge(clock.nowMs() - createdMs)})`).join(', '),
  ]);
  output.result(formatTable(['ROBOT', 'GRANTS', 'EXPIRES', 'SECRETS'], rows));
}

export async function removeRobot({ name, json }: RobotInput, { client, output }: CommandDeps): Promise<void> {
  await client.registry.robots.remove(name);
  if (json === true) return printJson(output, { name });
  output.result(`robot ${name} is removed, its secrets do not work any more\n`);
}

/** A second secret; the first works until it is revoked. */
export async function rotateRobot({ name, json }: RobotInput, { client, output }: CommandDeps): Promise<void> {
  const robot: RobotInfo & NewRobotSecret = await client.registry.robots.addSecret(name);
  if (json === true) return printJson(output, robot);
  const others = robot.secrets.filter(({ id }) => id !== robot.secretId);
  for (const { id } of others) {
    output.say(`the secret before works until: wharf registry robot revoke ${name} ${id}\n`);
  }
  output.result(`${robot.secret}\n`);
}

export async function revokeRobotSecret(
  { name, secretId, json }: RobotInput & { readonly secretId: string },
  { client, output }: CommandDeps,
): Promise<void> {
  const robot = await client.registry.robots.revokeSecret(name, secretId);
  if (json === true) return printJson(output, robot);
  output.result(`secret ${secretId} of robot ${name} does not work any more\n`);
}

export async function publish(
  { pattern, json }: Json & { readonly pattern: string },
  { client, output }: CommandDeps,
): Promise<void> {
  await client.registry.published.add(pattern);
  if (json === true) return printJson(output, { repositories: pattern, public: true });
  output.result(`anyone may pull ${pattern}\n`);
}

export async function unpublish(
  { pattern, json }: Json & { readonly pattern: string },
  { client, output }: CommandDeps,
): Promise<void> {
  await client.registry.published.remove(pattern);
  if (json === true) return printJson(output, { repositories: pattern, public: false });
  output.result(`${pattern} is not public any more\n`);
}

export async function listPublic({ json }: Json, { client, output }: CommandDeps): Promise<void> {
  printPatterns(await client.registry.published.list(), json, output);
}

export async function allowSparse(
  { pattern, json }: Json & { readonly pattern: string },
  { client, output }: CommandDeps,
): Promise<void> {
  await client.registry.sparse.add(pattern);
  if (json === true) return printJson(output, { repositories: pattern, sparse: true });
  output.result(`${pattern} takes manifests that name what is not there\n`);
}

export async function refuseSparse(
  { pattern, json }: Json & { readonly pattern: string },
  { client, output }: CommandDeps,
): Promise<void> {
  await client.registry.sparse.remove(pattern);
  if (json === true) return printJson(output, { repositories: pattern, sparse: false });
  output.result(`${pattern} takes manifests only when all they name is there; those it has stay\n`);
}

export async function listSparse({ json }: Json, { client, output }: CommandDeps): Promise<void> {
  printPatterns(await client.registry.sparse.list(), json, output);
}

function printPatterns(repositories: readonly string[], json: boolean | undefined, output: Output): void {
  if (json === true) return printJson(output, { repositories });
  output.result(repositories.map((pattern) => `${pattern}\n`).join(''));
}

function formatGrants(grants: readonly Grant[]): string {
  return grants.map(({ repositories, actions }) => `${actions.join(',')} ${repositories}`).join('; ');
}

function formatExpiry({ expiresAtMs }: RobotInfo, nowMs: number): string {
  if (expiresAtMs === undefined) return 'never';
  return expiresAtMs <= nowMs ? 'expired' : `in ${formatAge(expiresAtMs - nowMs)}`;
}
