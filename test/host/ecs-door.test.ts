/** Who may call the engine's ECS API: everyone on loopback, elsewhere only who signs with the platform's own keys. */
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import { CreateClusterCommand, ECSClient, ListClustersCommand } from '@aws-sdk/client-ecs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type AwsKeys, ecsDoor, openAwsKeys } from '../../lib/host/embedded/ecs-door.js';
import { systemIds } from '../../lib/store/system/ids-system.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { createEngineFixture, type EngineFixture } from '../engine/engine-fixture.js';

const kept = new Map<string, string>();
const secrets = {
  get: async (name: string) => kept.get(name),
  put: async (name: string, value: string) => void kept.set(name, value),
  delete: async (name: string) => void kept.delete(name),
  list: async () => [...kept.keys()],
};

describe('the door to the engine', () => {
  let fixture: EngineFixture;
  let keys: AwsKeys;
  let server: ReturnType<typeof serve>;
  let url: string;
  beforeAll(async () => {
    fixture = await createEngineFixture();
    keys = await openAwsKeys(secrets, systemIds);
    // As of a platform that listens on 0.0.0.0.
    const door = ecsDoor(fixture.engine, {
      keys,
      clock: systemClock,
      takesAnyCredentials: false,
      region: 'eu-central-1',
    });
    server = await new Promise((resolve) => {
      const made = serve({ fetch: (request) => door.fetch(request), hostname: '127.0.0.1', port: 0 }, () =>
        resolve(made),
      );
    });
    url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  });
  afterAll(async () => {
    await new Promise((resolve) => server.close(resolve));
    await fixture.close();
  });

  const client = (credentials: AwsKeys): ECSClient =>
    new ECSClient({ endpoint: url, region: 'eu-central-1', credentials, maxAttempts: 1 });

  test('lets in the SDK with the platform’s own keys, which are the same after a restart', async () => {
    expect(await openAwsKeys(secrets, systemIds)).toEqual(keys);
    const own = client(keys);
    await own.send(new CreateClusterCommand({ clusterName: 'signed' }));
    const { clusterArns } = await own.send(new ListClustersCommand({}));
    expect(clusterArns).toContain('arn:aws:ecs:eu-central-1:123456789012:cluster/signed');
    own.destroy();
  });

  test.each([
    ['another key', { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'any' }],
    ['the right key with another secret', undefined],
  ])('refuses %s', async (_, credentials) => {
    const stranger = client(credentials ?? { ...keys, secretAccessKey: 'wrong' });
    await expect(stranger.send(new ListClustersCommand({}))).rejects.toMatchObject({
      $metadata: { httpStatusCode: 403 },
    });
    stranger.destroy();
  });

  test('refuses what is not signed, and a body that was changed after it was signed', async () => {
    const headers = { 'x-amz-target': 'AmazonEC2ContainerServiceV20141113.ListClusters' };
    const unsigned = await fetch(url, { method: 'POST', headers, body: '{}' });
    expect(unsigned.status).toBe(403);
    expect(unsigned.headers.get('content-type')).toBe('application/x-amz-json-1.1');
    const own = client(keys);
    own.middlewareStack.add(
      (next) => (args) => {
        (args.request as { body: string }).body = '{"maxResults":1}';
        return next(args);
      },
      { step: 'finalizeRequest', priority: 'low' },
    );
    await expect(own.send(new ListClustersCommand({ maxResults: 2 }))).rejects.toMatchObject({
      $metadata: { httpStatusCode: 403 },
    });
    own.destroy();
  });
});
