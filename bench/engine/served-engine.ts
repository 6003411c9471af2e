/** An engine of this process behind HTTP, and Amazon's own SDK that asks it. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import {
  CreateClusterCommand,
  ECSClient,
  RegisterContainerInstanceCommand,
  RegisterTaskDefinitionCommand,
} from '@aws-sdk/client-ecs';
import type { Agent } from '../../lib/engine/agent/index.js';
import { createEngine, type Engine } from '../../lib/engine/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import { systemIds } from '../../lib/store/system/ids-system.js';
import { type RecordStore, silentLogger } from '../../lib/store/index.js';

export interface ServedEngine {
  readonly engine: Engine;
  readonly client: ECSClient;
  /** @param stopTasks not for an agent whose tasks never end by themselves */
  close(stopTasks: boolean): Promise<void>;
}

export async function serveEngine(agent: Agent, records: RecordStore): Promise<ServedEngine> {
  const engine = createEngine(
    { records, agent, clock: systemClock, ids: systemIds, logger: silentLogger },
    { region: 'eu-central-1', accountId: '000000000000' },
  );
  await engine.start();
  const server = serve({ fetch: (request) => engine.fetch(request), hostname: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const client = ecsClient(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}`);
  await client.send(new CreateClusterCommand({}));
  return {
    engine,
    client,
    async close(stopTasks) {
      client.destroy();
      server.close();
      await engine.stop({ stopTasks });
    },
  };
}

export function ecsClient(endpoint: string): ECSClient {
  return new ECSClient({
    endpoint,
    region: 'eu-central-1',
    credentials: { accessKeyId: 'bench', secretAccessKey: 'bench' },
  });
}

/** Large enough for whatever is run. */
export async function addInstances(client: ECSClient, count: number): Promise<void> {
  for (let number = 0; number < count; number += 1) {
    await client.send(
      new RegisterContainerInstanceCommand({
        totalResources: [
          { name: 'CPU', integerValue: 1_000_000 },
          { name: 'MEMORY', integerValue: 1_000_000 },
        ],
      }),
    );
  }
}

export async function define(client: ECSClient, container: object = {}): Promise<void> {
  const app = { name: 'app', image: 'busybox:1', cpu: 1, memory: 16, stopTimeout: 2, ...container };
  await client.send(new RegisterTaskDefinitionCommand({ family: 'bench', containerDefinitions: [app] }));
}
