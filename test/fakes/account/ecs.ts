/**
 * What stands for Amazon ECS: our engine over HTTP with a scripted agent. Capacity providers are Amazon's alone, so
 * they are taken out of the calls here and kept for the test to see.
 */
import { createEngine, type Engine } from '../../../lib/engine/index.js';
import { silentLogger } from '../../../lib/store/index.js';
import { ScriptedAgent } from '../agent.js';
import { createTestStore } from '../embedded-store.js';
import type { JsonFault } from '../json-api.js';
import { ScriptedTargetGroups } from '../target-groups.js';
import { type EcsInput, serveEcs } from './ecs-api.js';

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

/** @param fault asked at every call of a function */
export async function startEcsStandIn(fault?: (operation: string) => JsonFault): Promise<EcsStandIn> {
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
  const seen = (operation: string, input: EcsInput): Promise<EcsInput> => {
    calls.push({ operation, input });
    const { capacityProviderStrategy: _, ...known } = input;
    return Promise.resolve(known);
  };
  const api = await serveEcs(engine, seen, fault);
  return {
    endpoint: api.endpoint,
    engine,
    agent,
    events,
    calls,
    ask: (operation, body) => api.ask(operation, body),
    async close() {
      await api.close();
      await engine.stop();
      await store.close();
    },
  };
}
