/** Signs in to ECR when somebody needs it: a platform without AWS does not load the client, and never is the slower for it. */
import type { EcrAuthorization, RegistryCredentials } from '../../registry/client/index.js';
import type { Clock } from '../../store/index.js';

export class LateEcrAuthorization implements EcrAuthorization {
  private loaded: Promise<EcrAuthorization> | undefined;

  constructor(private readonly clock: Clock) {}

  async credentialsFor(registry: string): Promise<RegistryCredentials> {
    this.loaded ??= import('./ecr-authorization.js').then(
      ({ AwsEcrAuthorization }) => new AwsEcrAuthorization(this.clock),
    );
    return (await this.loaded).credentialsFor(registry);
  }
}
