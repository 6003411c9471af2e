/**
 * Credentials of a Lambda function, which are in its environment and nowhere else. Bundled in the place of the SDK's
 * chain (`@aws-sdk/credential-provider-node`), which brings the clients of STS and SSO, profiles and metadata services:
 * a tenth of every bundle, read at every cold start, that no function ever uses.
 */
import { AppError } from '../../errors/index.js';

interface FunctionCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** Under the name, and in the shape, that the SDK's clients import. */
export function defaultProvider(): () => Promise<FunctionCredentials> {
  return () => {
    const {
      AWS_ACCESS_KEY_ID: accessKeyId = '',
      AWS_SECRET_ACCESS_KEY: secretAccessKey = '',
      AWS_SESSION_TOKEN: sessionToken,
    } = process.env;
    if (accessKeyId === '' || secretAccessKey === '') {
      throw new AppError('HOST_CONFIG_INCOMPLETE', 'this function has no credentials in its environment', {
        kind: 'internal',
        hint: 'Lambda sets AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY by itself; outside of it they are to be set',
      });
    }
    return Promise.resolve({
      accessKeyId,
      secretAccessKey,
      ...(sessionToken === undefined ? {} : { sessionToken }),
    });
  };
}
