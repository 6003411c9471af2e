/**
 * Principal: who makes a call. Every front (HTTP API, registry, ECS endpoint) turns what it was shown (API token,
 * robot's secret, registry token, signature) into one of these, and asks `authorize` what it may do.
 */
import type { RepositoryAction } from './registry-scope.js';

/** `admin` may everything, `deploy` may change what runs and push images, `read` may look and pull. */
export type Role = 'admin' | 'deploy' | 'read';

/** Somebody with a role, which holds everywhere. */
export interface Account {
  readonly id: string;
  /** For people and logs. */
  readonly name: string;
  readonly role: Role;
}

/** Somebody who may do just this to just these repositories: a robot, or the bearer of a registry token. */
export interface GrantHolder {
  readonly id: string;
  readonly name: string;
  readonly grants: readonly Grant[];
  /** Whether it may list all repositories; without it, whoever may pull everything may. */
  readonly mayList?: boolean;
  /** Who was given the registry token, if they have a role: they could ask for another one. */
  readonly owner?: Account;
}

export interface Grant {
  /** A repository pattern: a name, `<name>/*` or `*`. */
  readonly repositories: string;
  readonly actions: readonly RepositoryAction[];
}

export type Principal = Account | GrantHolder;

/** Tells who shows a secret; undefined when it is unknown, revoked or expired. */
export interface Identities {
  verify(secret: string): Promise<Principal | undefined>;
}

export const ROLES: readonly Role[] = ['admin', 'deploy', 'read'];

export function isRole(text: string): text is Role {
  return (ROLES as readonly string[]).includes(text);
}
