/** `wharf registry robot`, `publish`, `unpublish`, `public`, `sparse`. */
import { type Command, InvalidArgumentError } from 'commander';
import type { Grant, RepositoryAction } from '../../auth/index.js';
import { defined } from '../../platform/values/index.js';
import {
  allowSparse,
  changeRobot,
  createRobot,
  listPublic,
  listRobots,
  listSparse,
  publish,
  refuseSparse,
  removeRobot,
  revokeRobotSecret,
  rotateRobot,
  unpublish,
} from '../commands/registry-access.js';
import type { CliDeps } from '../deps.js';
import { connected, type Shared, talking } from './shared-options.js';
import { lifetimeSeconds } from './option-values.js';

interface RobotOptions extends Shared {
  readonly grant: readonly Grant[];
  readonly expires?: number;
  readonly description?: string;
}

const ACTIONS: readonly RepositoryAction[] = ['pull', 'push', 'delete'];

export function addRegistryAccess(registry: Command, deps: CliDeps): void {
  addRobots(registry.command('robot').description('callers with rights to named repositories'), deps);
  const pattern = 'a repository, <name>/* for everything below a name, or *';
  talking(registry.command('publish'))
    .description('let anyone pull repositories, without credentials')
    .argument('<repositories>', pattern)
    .action(async (given: string, { json, ...options }: Shared) =>
      publish(defined({ pattern: given, json }), await connected(deps, options)),
    );
  talking(registry.command('unpublish'))
    .description('take that back')
    .argument('<repositories>', 'as it was published')
    .action(async (given: string, { json, ...options }: Shared) =>
      unpublish(defined({ pattern: given, json }), await connected(deps, options)),
    );
  talking(registry.command('public'))
    .description('what anyone may pull')
    .action(async ({ json, ...options }: Shared) => listPublic(defined({ json }), await connected(deps, options)));
  addSparse(
    registry.command('sparse').description('where an image may lack parts, as an index some of its platforms'),
    pattern,
    deps,
  );
}

function addSparse(sparse: Command, pattern: string, deps: CliDeps): void {
  talking(sparse.command('add'))
    .description('let repositories take manifests that name what is not there')
    .argument('<repositories>', pattern)
    .action(async (given: string, { json, ...options }: Shared) =>
      allowSparse(defined({ pattern: given, json }), await connected(deps, options)),
    );
  talking(sparse.command('rm'))
    .description('take that back')
    .argument('<repositories>', 'as it was added')
    .action(async (given: string, { json, ...options }: Shared) =>
      refuseSparse(defined({ pattern: given, json }), await connected(deps, options)),
    );
  talking(sparse.command('ls'))
    .description('all of them')
    .action(async ({ json, ...options }: Shared) => listSparse(defined({ json }), await connected(deps, options)));
}

function addRobots(robot: Command, deps: CliDeps): void {
  const settings = (command: Command): Command =>
    talking(command)
      .argument('<name>', 'lower-case letters, digits and . _ -')
      .requiredOption('--grant <repositories:actions>', "as in 'team/*:pull,push'; repeatable", grants)
      .option('--expires <duration>', 'when it ends, as in 12h or 90d (default: never)', lifetimeSeconds)
      .option('--description <text>', 'what it is for');
  const input = (name: string, { grant, expires, description, json }: RobotOptions) =>
    defined({ name, grants: grant, expiresInSeconds: expires, description, json });
  settings(robot.command('create'))
    .description('make one; prints its secret, this once')
    .action(async (name: string, options: RobotOptions) =>
      createRobot(input(name, options), await connected(deps, options)),
    );
  settings(robot.command('set'))
    .description('set its rights, expiry and description anew; secrets stay')
    .action(async (name: string, options: RobotOptions) =>
      changeRobot(input(name, options), await connected(deps, options)),
    );
  talking(robot.command('ls'))
    .description('all robots, with the ids of their secrets')
    .action(async (options: Shared) => listRobots(defined({ json: options.json }), await connected(deps, options)));
  talking(robot.command('rotate'))
    .description('make a second secret and print it; the first works until it is revoked')
    .argument('<name>', 'its name')
    .action(async (name: string, options: Shared) =>
      rotateRobot(defined({ name, json: options.json }), await connected(deps, options)),
    );
  talking(robot.command('revoke'))
    .description('make one of its secrets stop working')
    .argument('<name>', 'its name')
    .argument('<secret-id>', 'from wharf registry robot ls')
    .action(async (name: string, secretId: string, options: Shared) =>
      revokeRobotSecret(defined({ name, secretId, json: options.json }), await connected(deps, options)),
    );
  talking(robot.command('rm'))
    .description('remove it; its secrets stop working at once')
    .argument('<name>', 'its name')
    .action(async (name: string, options: Shared) =>
      removeRobot(defined({ name, json: options.json }), await connected(deps, options)),
    );
}

function grants(text: string, before: readonly Grant[] | undefined): readonly Grant[] {
  const colon = text.lastIndexOf(':');
  const repositories = text.slice(0, Math.max(0, colon));
  const asked = text.slice(colon + 1).split(',');
  const actions = ACTIONS.filter((action) => asked.includes(action));
  if (repositories === '' || actions.length !== asked.length) {
    throw new InvalidArgumentError(`<repositories>:<actions> is wanted; actions are ${ACTIONS.join(', ')}, each once`);
  }
  return [...(before ?? []), { repositories, actions }];
}
