/**
 * Principal: who makes a call. Every front (HTTP API, registry, ECS endpoint) turns what it was shown (API token,
 * registry token, signature) into one of these, and asks `authorize` what it may do.
 */

/** `admin` may everything, `deploy` may change what runs and push images, `read` may look and pull. */
export type Role = 'admin' | 'deploy' | 'read';

export interface Principal {
  readonly id: string;
  /** For people and logs. */
  readonly name: string;
  readonly role: Role;
}

export const ROLES: readonly Role[] = ['admin', 'deploy', 'read'];

export function isRole(text: string): text is Role {
  return (ROLES as readonly string[]).includes(text);
}
