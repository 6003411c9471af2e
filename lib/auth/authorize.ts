/**
 * The one authorisation function. Registry, API and ECS endpoint all ask here, with the parsed object that will be
 * acted on; nothing else in the house decides who may do what. Pure: same question, same answer.
 */
import type { Principal, Role } from './principal.js';

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
const GRANTS: Readonly<Record<Role, Readonly<Record<Resource['kind'], readonly Action[]>>>> = {
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
  return GRANTS[principal.role][resource.kind].includes(action);
}
