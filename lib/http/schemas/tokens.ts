/** API tokens. */
import * as z from 'zod';
import { timeMs } from './common.js';

export const role = z.enum(['admin', 'deploy', 'read']);

export const TokenRequest = z
  .strictObject({
    name: z.string().min(1).max(100),
    role,
    expiresInSeconds: z.number().int().min(1).exactOptional(),
  })
  .meta({ id: 'TokenRequest' });

const tokenMembers = {
  id: z.string(),
  name: z.string(),
  role,
  createdMs: timeMs,
  expiresAtMs: timeMs.exactOptional(),
};
export const Token = z.object(tokenMembers).meta({ id: 'Token' });
export const CreatedToken = z
  .object({ ...tokenMembers, token: z.string().meta({ description: 'Shown this once.' }) })
  .meta({ id: 'CreatedToken' });
