/** A secret of 43 random letters and digits: the 256 bits of a key, or a token that nobody guesses. */
import { type RemovalPolicy, Validations } from 'aws-cdk-lib';
import { type ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';

export interface GeneratedSecretProps {
  readonly description: string;
  readonly removalPolicy: RemovalPolicy;
}

export function generatedSecret(scope: Construct, id: string, props: GeneratedSecretProps): ISecret {
  const secret = new Secret(scope, id, {
    ...props,
    generateSecretString: { passwordLength: 43, excludePunctuation: true },
  });
  Validations.of(secret).acknowledge({
    id: 'AwsSolutions-SMG4',
    reason: 'Changing it by schedule would unseal nothing or lock out every client; both are changed by their owner.',
  });
  return secret as ISecret;
}
