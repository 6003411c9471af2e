/** Secrets that services and tasks name: kept sealed, given to containers, never shown. */
import * as z from 'zod';
import { AppError } from '../../errors/index.js';
import type { TaskSecrets } from '../../platform/index.js';
import type { ApiDeps } from '../api-deps.js';
import { route, type Route } from '../route.js';
import { listOf, Secret, secretName, SecretValue } from '../schemas/index.js';

export function secretRoutes({ taskSecrets }: ApiDeps): readonly Route[] {
  const tag = 'Secrets';
  const params = z.strictObject({ secret: secretName });
  const kept = (): TaskSecrets => {
    if (taskSecrets !== undefined) return taskSecrets;
    throw new AppError('SECRETS_UNSUPPORTED', 'secrets of tasks are those of the AWS account here', {
      kind: 'unsupported',
      hint: 'aws ssm put-parameter --type SecureString --name <name> --value <value>, readable by the execution role',
    });
  };
  return [
    route('GET', '/v1/secrets', {
      id: 'listSecrets',
      summary: 'Names of the secrets that are kept',
      tag,
      access: 'read',
      answers: [{ status: 200, description: 'By name, without values', schema: listOf('secrets', Secret) }],
      handler: async () => ({ body: { secrets: (await kept().list()).map((name) => ({ name })) } }),
    }),
    route('PUT', '/v1/secrets/{secret+}', {
      id: 'putSecret',
      summary: 'Keeps a secret, sealed; tasks that start from now on get this value',
      tag,
      access: 'deploy',
      params,
      body: SecretValue,
      answers: [{ status: 204, description: 'It is kept' }],
      handler: async ({ params: { secret }, body: { value } }) => {
        await kept().put(secret, value);
        return { status: 204 };
      },
    }),
    route('DELETE', '/v1/secrets/{secret+}', {
      id: 'deleteSecret',
      summary: 'Forgets a secret; tasks that run keep what they have',
      tag,
      access: 'deploy',
      params,
      answers: [{ status: 204, description: 'It is forgotten' }],
      handler: async ({ params: { secret } }) => {
        if (await kept().delete(secret)) return { status: 204 };
        throw new AppError('SECRET_NOT_FOUND', `there is no secret ${secret}`, {
          kind: 'not-found',
          hint: 'GET /v1/secrets, or wharf secret ls, shows those there are',
        });
      },
    }),
  ];
}
