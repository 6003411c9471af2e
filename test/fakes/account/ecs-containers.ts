/**
 * What stands for Amazon ECS where containers are to run: the embedded engine, with the images of the ECR beside it.
 * The group of instances scales from none: the first task or service that asks for capacity brings them. Tasks with a
 * role get the account's keys and endpoints, by way of the bridge, as an instance would give them credentials.
 */
import { connect, createServer, type Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Engine } from '../../../lib/engine/index.js';
import { DataFolder } from '../../../lib/host/embedded/data-folder.js';
import { embeddedEngine } from '../../../lib/host/embedded/engine.js';
import { openEngineRuntime } from '../../../lib/host/embedded/engine-runtime.js';
import { openEmbeddedStore } from '../../../lib/host/embedded/store.js';
import { BridgeNetwork, openHostScope } from '../../../lib/runtime/index.js';
import { silentLogger } from '../../../lib/store/index.js';
import { ScriptedTargetGroups } from '../target-groups.js';
import { type EcrStandIn, startEcrStandIn } from './ecr.js';
import { type EcsInput, serveEcs } from './ecs-api.js';
import { ACCOUNT, REGION } from './template.js';

export interface ContainerEcs {
  readonly endpoint: string;
  readonly ecr: EcrStandIn;
  readonly engine: Engine;
  readonly scopeId: string;
  readonly calls: { readonly operation: string; readonly input: EcsInput }[];
  ask(operation: string, input: object): Promise<Record<string, unknown>>;
  /** Says what tasks with a role are told; endpoints on loopback are made reachable for them. */
  grant(environment: Readonly<Record<string, string>>): Promise<void>;
  close(): Promise<void>;
}

export async function startContainerEcs(options: {
  /** The engine's data folder. */
  readonly data: string;
  readonly cluster: string;
  readonly instances: number;
}): Promise<ContainerEcs> {
  const folder = await DataFolder.open(options.data);
  const store = await openEmbeddedStore(folder);
  const ecr = await startEcrStandIn(store);
  const images = ecr.registry.registry;
  const runtime = await openEngineRuntime(
    { folder, store, images, logger: silentLogger },
    { runtime: 'containers', isOwnRegistry: (host) => host === ecr.registry.host },
  );
  const { scopeId, tidy, held } = runtime;
  const engine = embeddedEngine(
    { store, runtime, targetGroups: new ScriptedTargetGroups(), logger: silentLogger },
    { region: REGION, accountId: ACCOUNT },
  );
  await engine.start();
  const relays: Server[] = [];
  let granted: readonly { readonly name: string; readonly value: string }[] = [];
  let scaling: Promise<void> | undefined;
  const calls: ContainerEcs['calls'] = [];
  const api = await serveEcs(engine, async (operation, input) => {
    calls.push({ operation, input });
    const { capacityProviderStrategy: strategy, ...known } = input;
    if (strategy !== undefined) await (scaling ??= scaleOut((operation, body) => api.ask(operation, body), options));
    return operation === 'RegisterTaskDefinition' && known['taskRoleArn'] !== undefined
      ? withKeys(known, granted)
      : known;
  });
  await api.ask('CreateCluster', { clusterName: options.cluster });
  return {
    endpoint: api.endpoint,
    ecr,
    engine,
    scopeId,
    calls,
    ask: (operation, body) => api.ask(operation, body),
    async grant(environment) {
      const gateway = await bridge(await openHostScope(folder.paths.runtime));
      granted = await Promise.all(
        Object.entries(environment).map(async ([name, value]) => {
          const [, port] = /^http:\/\/127\.0\.0\.1:(\d+)$/.exec(value) ?? [];
          return { name, value: port === undefined ? value : await relay(gateway, Number(port), relays) };
        }),
      );
    },
    async close() {
      await api.close();
      // A task is told to have stopped before the last of it is taken away.
      await untilNone(held);
      await engine.stop();
      for (const server of relays) await new Promise((resolve) => server.close(resolve));
      await ecr.close();
      await tidy();
      await store.close();
      await folder.release();
    },
  };
}

/** What an Auto Scaling group would do when tasks wait for capacity. */
async function scaleOut(
  ask: ContainerEcs['ask'],
  { cluster, instances }: { readonly cluster: string; readonly instances: number },
): Promise<void> {
  for (let number = 1; number <= instances; number += 1) {
    await ask('RegisterContainerInstance', {
      cluster,
      instanceIdentityDocument: JSON.stringify({ instanceId: `i-${number}`, instanceType: 'local', region: REGION }),
      totalResources: [
        { name: 'CPU', type: 'INTEGER', integerValue: 2048 },
        { name: 'MEMORY', type: 'INTEGER', integerValue: 4096 },
        { name: 'PORTS', type: 'STRINGSET', stringSetValue: ['22'] },
        { name: 'PORTS_UDP', type: 'STRINGSET', stringSetValue: [] },
      ],
      attributes: [
        { name: 'ecs.os-type', value: 'linux' },
        { name: 'ecs.cpu-architecture', value: process.arch === 'arm64' ? 'arm64' : 'x86_64' },
      ],
    });
  }
}

/** The address of the bridge, which is made now if no task was there to need it. */
async function bridge(scope: Parameters<typeof BridgeNetwork.open>[0]): Promise<string> {
  const network = await BridgeNetwork.open(scope);
  const { gateway } = await network.attach('relay');
  await network.detach('relay');
  return gateway;
}

async function relay(host: string, port: number, relays: Server[]): Promise<string> {
  const server = createServer((socket) => {
    const inner = connect(port, '127.0.0.1');
    for (const [from, to] of [[socket, inner] as const, [inner, socket] as const]) {
      from.pipe(to);
      from.on('error', () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  server.unref();
  relays.push(server);
  return `http://${host}:${(server.address() as AddressInfo).port}`;
}

function withKeys(input: EcsInput, granted: readonly { readonly name: string; readonly value: string }[]): EcsInput {
  const containers = input['containerDefinitions'] as readonly { readonly environment?: readonly object[] }[];
  return {
    ...input,
    containerDefinitions: containers.map((container) => ({
      ...container,
      environment: [...(container.environment ?? []).filter((one) => !named(one, 'AWS_REGION')), ...granted],
    })),
  };
}

const named = (variable: object, name: string): boolean => 'name' in variable && variable.name === name;

/** What is still there then is found by whoever looks for what is left. */
async function untilNone(held: () => Promise<number>): Promise<void> {
  const end = performance.now() + 30_000;
  while ((await held()) > 0 && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 50));
}
