/**
 * What stands for Amazon ECS: our engine over HTTP with a scripted agent. Capacity providers are Amazon's alone, so
 * they are taken out of the calls here and kept for the test to see.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { createEngine, type Engine } from '../../../lib/engine/index.js';
import { silentLogger } from '../../../lib/store/index.js';
import { ScriptedAgent } from '../agent.js';
import { createTestStore } from '../embedded-store.js';
import { ScriptedTargetGroups } from '../target-groups.js';

export interface EcsStandIn {
  readonly endpoint: string;
  readonly engine: Engine;
  readonly agent: ScriptedAgent;
  /** EventBridge envelopes, in the order in which they were sent. */
  readonly events: object[];
  readonly calls: { readonly operation: string; readonly input: Readonly<Record<string, unknown>> }[];
  /** Calls the API as whoever looks after the account. */
  ask(operation: string, input: object): Promise<Record<string, unknown>>;
  close(): Promise<void>;
}

const TARGET = 'AmazonEC2ContainerServiceV20141113.';

export async function startEcsStandIn(): Promise<EcsStandIn> {
  const store = await createTestStore();
  const agent = new ScriptedAgent(store.clock, { auto: true });
  const engine = createEngine(
    { ...store, agent, targetGroups: new ScriptedTargetGroups(), logger: silentLogger },
    {
      region: 'eu-central-1',
      accountId: '123456789012',
      architecture: 'arm64',
      healthyAfterRunningMs: 0,
      relaunchDelayMs: 10,
      pollMs: 20,
      random: () => 0,
    },
  );
  const events: object[] = [];
  const calls: EcsStandIn['calls'] = [];
  engine.onEvent((event) => events.push(event));
  await engine.start();
  const ask = async (operation: string, input: object): Promise<Response> => {
    const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `${TARGET}${operation}` };
    return engine.fetch(new Request('http://ecs/', { method: 'POST', headers, body: JSON.stringify(input) }));
  };
  const server = createServer((request, response) => {
    void (async () => {
      const operation = String(request.headers['x-amz-target']).slice(TARGET.length);
      const input = JSON.parse(await text(request)) as Record<string, unknown>;
      calls.push({ operation, input });
      const { capacityProviderStrategy: _, ...known } = input;
      const answer = await ask(operation, known);
      response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    engine,
    agent,
    events,
    calls,
    ask: async (operation, input) => (await (await ask(operation, input)).json()) as Record<string, unknown>,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await engine.stop();
      await store.close();
    },
  };
}
