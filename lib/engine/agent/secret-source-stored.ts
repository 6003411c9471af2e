/**
 * Secrets of tasks in the platform's own secret store: `task-secrets/<service>/<name>`. The operator puts them there as
 * parameters; a reference to Secrets Manager finds them by the same name.
 */
import type { SecretStore } from '../../store/index.js';
import type { SecretName, SecretSource } from './secret-source.js';

/** Where the store keeps it. */
export function storedSecretKey({ service, name }: SecretName): string {
  return `task-secrets/${service}/${name}`;
}

const OWN = storedSecretKey({ service: 'ssm', name: '' });

/** A Secrets Manager ARN carries six random characters after the name: both spellings are looked up. */
export function storedSecrets(secrets: Pick<SecretStore, 'get'>): SecretSource {
  return {
    async find({ service, name }) {
      const short = name.replace(/-[A-Za-z0-9]{6}$/, '');
      const places: readonly SecretName[] =
        service === 'ssm'
          ? [{ service, name }]
          : [name, short].flatMap((each) => [
              { service, name: each },
              { service: 'ssm', name: each },
            ]);
      for (const place of places) {
        const value = await secrets.get(storedSecretKey(place));
        if (value !== undefined) return value;
      }
      return undefined;
    },
  };
}

/** The operator's side of the same. Names only are ever read. */
export function operatorSecrets(secrets: Pick<SecretStore, 'put' | 'delete' | 'list'>) {
  const list = async (): Promise<readonly string[]> => (await secrets.list(OWN)).map((each) => each.slice(OWN.length));
  return {
    list,
    put: (name: string, value: string): Promise<void> => secrets.put(`${OWN}${name}`, value),
    /** False when there is none. */
    async delete(name: string): Promise<boolean> {
      const isThere = (await list()).includes(name);
      if (isThere) await secrets.delete(`${OWN}${name}`);
      return isThere;
    },
  };
}
