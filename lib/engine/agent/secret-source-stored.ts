/** Secrets of tasks in the platform's own secret store: `task-secrets/<service>/<name>`. */
import type { SecretStore } from '../../store/index.js';
import type { SecretName, SecretSource } from './secret-source.js';

/** Where the store keeps it. */
export function storedSecretKey({ service, name }: SecretName): string {
  return `task-secrets/${service}/${name}`;
}

/** A Secrets Manager ARN carries six random characters after the name: both spellings are looked up. */
export function storedSecrets(secrets: Pick<SecretStore, 'get'>): SecretSource {
  return {
    async find(secret) {
      const exact = await secrets.get(storedSecretKey(secret));
      if (exact !== undefined || secret.service === 'ssm') return exact;
      const short = secret.name.replace(/-[A-Za-z0-9]{6}$/, '');
      return short === secret.name ? undefined : secrets.get(storedSecretKey({ ...secret, name: short }));
    },
  };
}
