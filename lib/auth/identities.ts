/** All secrets that callers may show as a password or a raw bearer token: API tokens and robots' secrets. */
import type { Identities } from './principal.js';

/** Asks each in turn; the kinds of secrets exclude one another. */
export function identitiesOf(...kinds: readonly Identities[]): Identities {
  return {
    async verify(secret) {
      for (const kind of kinds) {
        const principal = await kind.verify(secret);
        if (principal !== undefined) return principal;
      }
      return undefined;
    },
  };
}
