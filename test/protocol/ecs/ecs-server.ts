/** The engine on a random loopback port, with the unmodified SDK client pointed at it. */
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import { ECSClient } from '@aws-sdk/client-ecs';
import { createEngine, type Engine } from '../../../lib/engine/index.js';
import { silentLogger } from '../../../lib/store/index.js';
import { ScriptedAgent } from '../../fakes/agent.js';
import { createTestStore } from '../../fakes/embedded-store.js';
import { ScriptedTargetGroups } from '../../fakes/target-groups.js';

export interface EcsServer {
  readonly url: string;
  readonly client: ECSClient;
  readonly agent: ScriptedAgent;
  readonly engine: Engine;
  close(): Promise<void>;
}

export async function startEcsServer(): Promise<EcsServer> {
  const store = await createTestStore();
  const agent = new ScriptedAgent(store.clock, { auto: true });
  const engine = createEngine(
    {
      records: store.records,
      agent,
      targetGroups: new ScriptedTargetGroups(),
      clock: store.clock,
      ids: store.ids,
      logger: silentLogger,
    },
    { region: 'eu-central-1', accountId: '123456789012', healthyAfterRunningMs: 0, pollMs: 10 },
  );
  await engine.start();
  const server = await new Promise<ReturnType<typeof serve>>((resolve) => {
    const listening = serve({ fetch: (request) => engine.fetch(request), hostname: '127.0.0.1', port: 0 }, () =>
      resolve(listening),
    );
  });
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  const client = new ECSClient({
    endpoint: url,
    region: 'eu-central-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  return {
    url,
    client,
    agent,
    engine,
    async close() {
      client.destroy();
      await new Promise((resolve) => server.close(resolve));
      await engine.stop();
      await store.close();
    },
  };
}
