/** What stands for Amazon ECR: its JSON API for tokens and repositories, and our own registry for its /v2. */
import { createTestStore } from '../embedded-store.js';
import { jsonFailure, type JsonFault, startJsonApi } from '../json-api.js';
import {
  type RegistryParts,
  type RunningRegistry,
  startTestRegistry,
} from '../../protocol/registry/registry-server.js';

export interface EcrStandIn {
  readonly endpoint: string;
  readonly registry: RunningRegistry;
  readonly repositories: Set<string>;
  close(): Promise<void>;
}

/**
 * @param shared a store to keep the images in, which stays the caller's; a fresh one when absent
 * @param fault asked at every call of the JSON API
 */
export async function startEcrStandIn(
  shared?: RegistryParts,
  fault?: (operation: string) => JsonFault,
): Promise<EcrStandIn> {
  const own = shared === undefined ? await createTestStore() : undefined;
  const registry = await startTestRegistry(shared ?? (own as RegistryParts));
  const repositories = new Set<string>();
  const api = await startJsonApi(async ({ operation, input }) => {
    if (operation === 'GetAuthorizationToken') {
      const authorizationToken = Buffer.from(`AWS:${registry.tokens.admin}`).toString('base64');
      const expiresAt = Date.now() / 1000 + 12 * 3600;
      const data = { authorizationToken, expiresAt, proxyEndpoint: registry.url };
      return { status: 200, body: JSON.stringify({ authorizationData: [data] }) };
    }
    const name = String(input['repositoryName']);
    if (operation === 'BatchDeleteImage') {
      if (!repositories.has(name)) return jsonFailure(400, 'RepositoryNotFoundException', `${name} does not exist`);
      const [{ imageDigest = '' } = {}] = input['imageIds'] as { imageDigest?: string }[];
      const headers = { authorization: `Bearer ${registry.tokens.admin}` };
      const url = `${registry.url}/v2/${name}/manifests/${imageDigest}`;
      const { ok } = await fetch(url, { method: 'DELETE', headers });
      const failures = ok ? [] : [{ imageId: { imageDigest }, failureCode: 'ImageNotFound' }];
      return { status: 200, body: JSON.stringify({ imageIds: ok ? [{ imageDigest }] : [], failures }) };
    }
    if (operation !== 'CreateRepository') return jsonFailure(400, 'UnknownOperationException', operation);
    if (repositories.has(name)) return jsonFailure(400, 'RepositoryAlreadyExistsException', `${name} exists`);
    repositories.add(name);
    return { status: 200, body: JSON.stringify({ repository: { repositoryName: name } }) };
  }, fault);
  return {
    endpoint: api.endpoint,
    registry,
    repositories,
    async close() {
      await api.close();
      await registry.close();
      await own?.close();
    },
  };
}
