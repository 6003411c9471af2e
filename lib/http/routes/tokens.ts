/** API tokens: made, listed and revoked by an admin. The secret is shown once. */
import * as z from 'zod';
import { AppError } from '../../errors/index.js';
import type { ApiDeps } from '../api-deps.js';
import { route, type Route } from '../route.js';
import { CreatedToken, listOf, Token, TokenRequest } from '../schemas/index.js';

export function tokenRoutes({ tokens }: ApiDeps): readonly Route[] {
  const tag = 'Tokens';
  return [
    route('POST', '/v1/tokens', {
      id: 'createToken',
      summary: 'Makes a token; its secret is in this answer only',
      tag,
      access: 'admin',
      body: TokenRequest,
      answers: [{ status: 201, description: 'The token', schema: CreatedToken }],
      // A replay would have to keep the secret.
      isReplayable: false,
      handler: async ({ body }) => {
        const { name, role, ...options } = body;
        return { status: 201, body: await tokens.create(name, role, options) };
      },
    }),
    route('GET', '/v1/tokens', {
      id: 'listTokens',
      summary: 'Tokens that are valid, without their secrets',
      tag,
      access: 'admin',
      answers: [{ status: 200, description: 'All tokens', schema: listOf('tokens', Token) }],
      handler: async () => ({ body: { tokens: await tokens.list() } }),
    }),
    route('DELETE', '/v1/tokens/{id}', {
      id: 'revokeToken',
      summary: 'Revokes a token',
      tag,
      access: 'admin',
      params: z.strictObject({ id: z.string().min(1) }),
      answers: [{ status: 204, description: 'It is not valid any more' }],
      handler: async ({ params }) => {
        if (await tokens.revoke(params.id)) return { status: 204 };
        throw new AppError('TOKEN_NOT_FOUND', `there is no token ${params.id}`, { kind: 'not-found' });
      },
    }),
  ];
}
