/** Logins at other registries: tried there, then kept sealed; never shown again. */
import * as z from 'zod';
import { AppError } from '../../errors/index.js';
import { endpointOf } from '../../registry/client/index.js';
import type { ApiDeps } from '../api-deps.js';
import { route, type Route } from '../route.js';
import { flag, isSet, listOf, RegistryLoginInfo, RegistryLoginRequest } from '../schemas/index.js';

const common = { tag: 'Registry', access: 'admin' } as const;

export function registryLoginRoutes({ logins, connections }: ApiDeps): readonly Route[] {
  const params = z.strictObject({ registry: z.string().min(1).max(255) });
  return [
    route('GET', '/v1/registry/logins', {
      ...common,
      id: 'listRegistryLogins',
      summary: 'Other registries that a login is kept for, without any secret',
      answers: [{ status: 200, description: 'By host', schema: listOf('logins', RegistryLoginInfo) }],
      handler: async () => ({ body: { logins: await logins.list() } }),
    }),
    route('PUT', '/v1/registry/logins/{registry}', {
      ...common,
      id: 'putRegistryLogin',
      summary: 'Tries a login at another registry and keeps it, sealed; base images are then fetched with it',
      params,
      query: z.strictObject({
        unchecked: flag.exactOptional().meta({ description: 'Keep it without trying it.' }),
      }),
      body: RegistryLoginRequest,
      answers: [{ status: 204, description: 'It is kept' }],
      handler: async ({ params: { registry }, query, body }) => {
        endpointOf(registry);
        const credentials = await logins.credentialsOf(registry, body);
        if (!isSet(query.unchecked)) await (await connections.open(registry, { credentials })).ping();
        await logins.put(registry, body);
        return { status: 204 };
      },
    }),
    route('DELETE', '/v1/registry/logins/{registry}', {
      ...common,
      id: 'deleteRegistryLogin',
      summary: 'Forgets the login for another registry',
      params,
      answers: [{ status: 204, description: 'It is forgotten' }],
      handler: async ({ params: { registry } }) => {
        endpointOf(registry);
        if (await logins.delete(registry)) return { status: 204 };
        throw new AppError('REGISTRY_LOGIN_NOT_FOUND', `no login is kept for ${registry}`, { kind: 'not-found' });
      },
    }),
  ];
}
