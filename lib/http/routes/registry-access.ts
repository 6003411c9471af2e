/** What holds for which repositories: rights of robots, what anyone may pull, where images may lack parts. */
import * as z from 'zod';
import { AppError } from '../../errors/index.js';
import type { RepositoryPatterns } from '../../registry/index.js';
import type { ApiDeps } from '../api-deps.js';
import { route, type Route } from '../route.js';
import {
  listOf,
  repositoryPattern,
  Robot,
  RobotChange,
  robotName,
  RobotRequest,
  RobotWithSecret,
} from '../schemas/index.js';

const common = { tag: 'Registry', access: 'admin' } as const;

export function registryAccessRoutes(deps: ApiDeps): readonly Route[] {
  const { publicRepositories, sparseRepositories } = deps.registry;
  return [
    ...robotRoutes(deps),
    ...patternRoutes(publicRepositories, PUBLIC),
    ...patternRoutes(sparseRepositories, SPARSE),
  ];
}

function robotRoutes({ robots }: ApiDeps): readonly Route[] {
  const params = z.strictObject({ robot: robotName });
  return [
    route('POST', '/v1/registry/robots', {
      ...common,
      id: 'createRobot',
      summary: 'Makes a caller of the registry with rights to named repositories; its secret is in this answer only',
      body: RobotRequest,
      answers: [{ status: 201, description: 'The robot', schema: RobotWithSecret }],
      // A replay would have to keep the secret.
      isReplayable: false,
      handler: async ({ body: { name, ...spec } }) => ({ status: 201, body: await robots.create(name, spec) }),
    }),
    route('GET', '/v1/registry/robots', {
      ...common,
      id: 'listRobots',
      summary: 'Robots by name, without their secrets; those that have expired too',
      answers: [{ status: 200, description: 'All robots', schema: listOf('robots', Robot) }],
      handler: async () => ({ body: { robots: await robots.list() } }),
    }),
    route('GET', '/v1/registry/robots/{robot}', {
      ...common,
      id: 'getRobot',
      summary: 'A robot, without its secrets',
      params,
      answers: [{ status: 200, description: 'The robot', schema: Robot }],
      handler: async ({ params: { robot } }) => ({ body: await robots.get(robot) }),
    }),
    route('PUT', '/v1/registry/robots/{robot}', {
      ...common,
      id: 'changeRobot',
      summary: 'Sets its rights, description and expiry anew; its secrets stay',
      params,
      body: RobotChange,
      answers: [{ status: 200, description: 'The robot', schema: Robot }],
      handler: async ({ params: { robot }, body }) => ({ body: await robots.change(robot, body) }),
    }),
    route('DELETE', '/v1/registry/robots/{robot}', {
      ...common,
      id: 'removeRobot',
      summary: 'Removes a robot; its secrets stop working at once',
      params,
      answers: [{ status: 204, description: 'It is gone' }],
      handler: async ({ params: { robot } }) => {
        if (await robots.remove(robot)) return { status: 204 };
        throw new AppError('ROBOT_NOT_FOUND', `there is no robot ${robot}`, { kind: 'not-found' });
      },
    }),
    route('POST', '/v1/registry/robots/{robot}/secrets', {
      ...common,
      id: 'addRobotSecret',
      summary: 'Makes a second secret, in this answer only; the first works until it is revoked',
      params,
      isReplayable: false,
      answers: [{ status: 201, description: 'The robot with the new secret', schema: RobotWithSecret }],
      handler: async ({ params: { robot } }) => ({ status: 201, body: await robots.addSecret(robot) }),
    }),
    route('DELETE', '/v1/registry/robots/{robot}/secrets/{secret}', {
      ...common,
      id: 'revokeRobotSecret',
      summary: 'Revokes one of its secrets, named by its id',
      params: params.extend({ secret: z.string().min(1) }),
      answers: [{ status: 200, description: 'The robot', schema: Robot }],
      handler: async ({ params: { robot, secret } }) => ({ body: await robots.revokeSecret(robot, secret) }),
    }),
  ];
}

interface PatternWords {
  readonly path: string;
  /** Operation ids. */
  readonly ids: readonly [list: string, add: string, remove: string];
  readonly holds: string;
  readonly add: string;
  readonly remove: string;
  readonly absent: { readonly code: string; readonly what: string; readonly none: string };
}

const PUBLIC: PatternWords = {
  path: '/v1/registry/public',
  ids: ['listPublicRepositories', 'publishRepositories', 'unpublishRepositories'],
  holds: 'What anyone may pull, without credentials',
  add: 'Lets anyone pull these repositories; they need not exist yet',
  remove: 'Takes back exactly what was published under this pattern',
  absent: { code: 'NOT_PUBLIC', what: 'was not published', none: 'nothing is public' },
};
const SPARSE: PatternWords = {
  path: '/v1/registry/sparse',
  ids: ['listSparseRepositories', 'allowSparseManifests', 'refuseSparseManifests'],
  holds: 'Where a manifest may be pushed that names what is not there',
  add: 'Lets these repositories take manifests that name what is not there, as indexes of some platforms only',
  remove: 'Takes back exactly this pattern; manifests that are there stay',
  absent: { code: 'NOT_SPARSE', what: 'was not allowed sparse manifests', none: 'no repository is' },
};

function patternRoutes(patterns: RepositoryPatterns, words: PatternWords): readonly Route[] {
  const params = z.strictObject({ repositories: repositoryPattern });
  const [list, add, remove] = words.ids;
  return [
    route('GET', words.path, {
      ...common,
      id: list,
      summary: words.holds,
      access: 'read',
      answers: [{ status: 200, description: 'Patterns, sorted', schema: listOf('repositories', z.string()) }],
      handler: async () => ({ body: { repositories: await patterns.list() } }),
    }),
    route('PUT', `${words.path}/{repositories+}`, {
      ...common,
      id: add,
      summary: words.add,
      params,
      answers: [{ status: 204, description: 'It holds for them' }],
      handler: async ({ params: { repositories } }) => {
        await patterns.add(repositories);
        return { status: 204 };
      },
    }),
    route('DELETE', `${words.path}/{repositories+}`, {
      ...common,
      id: remove,
      summary: words.remove,
      params,
      answers: [{ status: 204, description: 'It does not hold by this pattern any more' }],
      handler: async ({ params: { repositories } }) => {
        if (await patterns.remove(repositories)) return { status: 204 };
        const known = await patterns.list();
        const { code, what, none } = words.absent;
        throw new AppError(code, `${repositories} ${what}`, {
          kind: 'not-found',
          hint: known.length === 0 ? none : `one of ${known.slice(0, 20).join(', ')}`,
        });
      },
    }),
  ];
}
