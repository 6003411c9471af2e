/** The control plane over the real engine, spoken to by the unmodified SDK over HTTP; only the containers are scripted. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { createEngine, type Engine, type EngineOptions } from '../../lib/engine/index.js';
import { ecsClient } from '../../lib/platform/ecs/sdk.js';
import { createPlatform, localCapacity, type Platform } from '../../lib/platform/index.js';
import { type Metrics, silentLogger } from '../../lib/store/index.js';
import { ScriptedAgent } from '../fakes/agent.js';
import { createTestStore, type TestStore } from '../fakes/embedded-store.js';
import { createTestImages, type TestImages } from '../fakes/images.js';
import { ScriptedTargetGroups } from '../fakes/target-groups.js';

export interface PlatformFixture {
  readonly platform: Platform;
  readonly engine: Engine;
  readonly agent: ScriptedAgent;
  readonly targets: ScriptedTargetGroups;
  readonly images: TestImages;
  readonly store: TestStore;
  /** The engine's API, as far as tests look behind the platform or put something in its way. */
  readonly ecs: {
    clusterNames(): Promise<readonly string[]>;
    /** So many of the next calls of this operation are answered with a refusal. */
    failNext(operation: string, times: number): void;
  };
  /** Waits, without sleeping for a time of its own choice, until this holds. */
  readonly until: (what: string, holds: () => Promise<boolean> | boolean) => Promise<void>;
  /** A second control plane over the same records and engine, as after a restart. */
  again(): Platform;
  close(): Promise<void>;
}

const LONGEST_MS = 15_000;

export async function createPlatformFixture(
  options: {
    readonly engine?: Partial<EngineOptions>;
    readonly deaf?: boolean;
    /** None when absent. */
    readonly metrics?: Metrics;
    /** A fresh one when absent. Closed with the rest. */
    readonly store?: TestStore;
  } = {},
): Promise<PlatformFixture> {
  const store = options.store ?? (await createTestStore());
  const { records, clock, ids, content } = store;
  const agent = new ScriptedAgent(clock, { auto: true });
  const targets = new ScriptedTargetGroups();
  const engine = createEngine(
    { records, agent, targetGroups: targets, clock, ids, logger: silentLogger },
    {
      region: 'eu-central-1',
      accountId: '123456789012',
      healthyAfterRunningMs: 0,
      relaunchDelayMs: 10,
      pollMs: 20,
      random: () => 0,
      ...options.engine,
    },
  );
  await engine.start();
  const failing = new Map<string, number>();
  const answer = (request: Request): Promise<Response> => {
    const operation = request.headers.get('x-amz-target')?.split('.')[1] ?? '';
    const left = failing.get(operation) ?? 0;
    if (left === 0) return engine.fetch(request);
    failing.set(operation, left - 1);
    const body = { __type: 'ClientException', message: 'not now' };
    return Promise.resolve(new Response(JSON.stringify(body), { status: 400 }));
  };
  const listener = getRequestListener(answer, { overrideGlobalObjects: false });
  const server = createServer((incoming, outgoing) => void listener(incoming, outgoing));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const ecs = ecsClient({
    region: 'eu-central-1',
    endpoint,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  const images = createTestImages(content);
  const make = (): Platform =>
    createPlatform(
      {
        ecs,
        records,
        images,
        content,
        clock,
        ids,
        logger: silentLogger,
        ...(options.metrics === undefined ? {} : { metrics: options.metrics }),
        capacity: localCapacity({ cpu: 2048, memory: 4096, architecture: 'amd64', maximum: 8 }),
        routing: {
          targetGroupFor: ({ cluster, service, port }) =>
            Promise.resolve(
              `arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/${cluster}.${service}.${port}/0123`,
            ),
          remove: () => Promise.resolve(),
          urlFor: (cluster, service) => `http://${service}.${cluster}.localhost`,
        },
        placement: {
          list: (cluster) => engine.unplaced(cluster),
          ofService: (cluster, service) => engine.unplacedService(cluster, service),
        },
        logs: { open: (arn, container, logOptions) => engine.logs(arn, container, logOptions) },
      },
      {
        platform: { os: 'linux', architecture: 'amd64' },
        tickMs: 20,
        sweepMs: 60_000,
      },
    );
  const platform = make();
  const applied: Promise<void>[] = [];
  const hush =
    options.deaf === true ? () => {} : engine.onEvent((event) => applied.push(platform.reconciler.apply(event)));
  await platform.start();
  return {
    platform,
    engine,
    agent,
    targets,
    images,
    store,
    ecs: {
      clusterNames: async () => {
        const headers = { 'x-amz-target': 'AmazonEC2ContainerServiceV20141113.ListClusters' };
        const listed = await engine.fetch(new Request(endpoint, { method: 'POST', headers, body: '{}' }));
        const { clusterArns } = (await listed.json()) as { clusterArns: string[] };
        return clusterArns.map((arn) => arn.split('/').at(-1) ?? '');
      },
      failNext: (operation, times) => failing.set(operation, times),
    },
    again: make,
    async until(what, holds) {
      const end = performance.now() + LONGEST_MS;
      while (!(await holds())) {
        if (performance.now() > end) throw new Error(`never came about: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    async close() {
      hush();
      await platform.stop();
      await Promise.all(applied);
      await engine.stop();
      ecs.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await store.close();
    },
  };
}
