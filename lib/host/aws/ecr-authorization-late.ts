/** Signs in to ECR when somebody needs it: a platform without AWS does not load the client, and never is the slower for it. */
import type { EcrAuthorization, RegistryCredentials } from '../../registry/client/index.js';
import { type Clock, late } from '../../store/index.js';

export class LateEcrAuthorization implements EcrAuthorization {
  private readonly loaded = late(async (): Promise<EcrAuthorization> => {
    const { AwsEcrAuthorization } = await import('./ecr-authorization.js');
    return new AwsEcrAuthorization(this.clock);
  });

  constructor(private readonly clock: Clock) {}

  async credentialsFor(registry: string): Promise<RegistryCredentials> {
    return (await this.loaded()).credentialsFor(registry);
  }
}
