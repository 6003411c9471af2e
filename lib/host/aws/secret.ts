/** Secrets that the stack made, read at cold start, and those that a template gives to its builds. */
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { AppError } from '../../errors/index.js';
import { awsFailure } from '../../store/aws/aws-failure.js';

/** @throws AppError SECRET_EMPTY, STORE_REFUSED, STORE_UNAVAILABLE; the value is in none of them */
export async function readSecret(arn: string, region: string): Promise<string> {
  const client = new SecretsManagerClient({ region });
  try {
    const { SecretString: text } = await client.send(new GetSecretValueCommand({ SecretId: arn }));
    if (text === undefined || text === '') {
      throw new AppError('SECRET_EMPTY', `secret ${arn} holds no text`, {
        kind: 'internal',
        hint: 'put a text into it; those of the platform itself have 43 random letters and digits or more',
      });
    }
    return text;
  } catch (error) {
    throw awsFailure('Secrets Manager', error);
  } finally {
    client.destroy();
  }
}
