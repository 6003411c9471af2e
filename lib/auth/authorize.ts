/**
 * The one authorisation function. Registry, API and ECS endpoint all ask here, with the parsed object that will be
 * acted on; nothing else in the house decides who may do what. Pure: same question, same answer.
 */
import type { GrantHolder, Principal, Role } from './principal.js';
import { matchesRepository } from './repository-pattern.js';

/** Ordered by right: registry actions first, then the API's. */
export type Action = 'pull' | 'push' | 'delete' | 'catalog' | 'read' | 'deploy' | 'administer';

export type Resource =
  | {
      readonly kind: 'repository';
      readonly name: string;
      /** Whether it may be pulled by anyone. */
      readonly isPublic?: boolean;
    }
  /** The list of all repositories. */
  | { readonly kind: 'catalog' }
  /** Builds, clusters, services, tasks, tokens: everything behind /v1 and the ECS endpoint. */
  | { readonly kind: 'api' };

/** What each role may do, by kind of resource. */
const ROLE_RIGHTS: Readonly<Record<Role, Readonly<Record<Resource['kind'], readonly Action[]>>>> = {
  admin: {
    repository: ['pull', 'push', 'delete'],
    catalog: ['catalog'],
    api: ['read', 'deploy', 'administer'],
  },
  deploy: {
    repository: ['pull', 'push'],
    catalog: ['catalog'],
    api: ['read', 'deploy'],
  },
  read: {
    repository: ['pull'],
    catalog: ['catalog'],
    api: ['read'],
  },
};

/**
 * Whether the principal may do this to that. Nobody (undefined) may pull what is public, and nothing else.
 * @example authorize(principal, 'push', { kind: 'repository', name: 'team/app' })
 */
export function authorize(principal: Principal | undefined, action: Action, resource: Resource): boolean {
  if (resource.kind === 'repository' && resource.isPublic === true && action === 'pull') return true;
  if (principal === undefined) return false;
  if ('grants' in principal) return isGranted(principal, action, resource);
  return ROLE_RIGHTS[principal.role][resource.kind].includes(action);
}

/** Grants reach repositories only. To list them all takes the right to pull them all, or to have been told so. */
function isGranted({ grants, mayList }: GrantHolder, action: Action, resource: Resource): boolean {
  if (resource.kind === 'api') return false;
  if (resource.kind === 'catalog') {
    if (action !== 'catalog') return false;
    return mayList ?? grants.some(({ repositories, actions }) => repositories === '*' && actions.includes('pull'));
  }
  return grants.some(
    ({ repositories, actions }) =>
      (actions as readonly Action[]).includes(action) && matchesRepository(repositories, resource.name),
  );
}
