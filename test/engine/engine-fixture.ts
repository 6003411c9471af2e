/** An engine over a real embedded store, a scripted agent and a clock that stands still. */
import { createEngine, type Engine, type EngineEvent, type EngineOptions } from '../../lib/engine/index.js';
import { createSimulatedAgent } from '../../lib/engine/simulated/index.js';
import { silentLogger } from '../../lib/store/index.js';
import { ScriptedAgent } from '../fakes/agent.js';
import { createTestStore } from '../fakes/embedded-store.js';
import { manualClock, type ManualClock } from '../fakes/manual-clock.js';
import { mortalRecords, type MortalRecords } from '../fakes/mortal-records.js';
import { ScriptedTargetGroups } from '../fakes/target-groups.js';
import { shapeProblems } from '../protocol/ecs/shapes.js';

export type Body = Record<string, unknown> & {
  // The answers of many operations, as far as tests look into them.
  readonly message?: string;
  readonly tasks?: readonly TaskBody[];
  readonly failures?: readonly { readonly arn: string; readonly reason: string; readonly detail?: string }[];
  readonly services?: readonly ServiceBody[];
  readonly service?: ServiceBody;
};

export interface TaskBody {
  readonly taskArn: string;
  readonly lastStatus: string;
  readonly desiredStatus: string;
  readonly version: number;
  readonly containerInstanceArn: string;
  readonly taskDefinitionArn: string;
  readonly stopCode?: string;
  readonly stoppedReason?: string;
  readonly startedBy?: string;
  readonly group?: string;
  readonly capacityProviderName?: string;
  readonly tags?: readonly { readonly key: string; readonly value: string }[];
  readonly healthStatus: string;
  readonly containers: readonly {
    readonly name: string;
    readonly lastStatus: string;
    readonly exitCode?: number;
    readonly reason?: string;
    readonly gpuIds?: readonly string[];
    readonly networkBindings: readonly { readonly containerPort: number; readonly hostPort: number }[];
  }[];
}

export interface ServiceBody {
  readonly status: string;
  readonly desiredCount: number;
  readonly runningCount: number;
  readonly pendingCount: number;
  readonly taskDefinition: string;
  readonly events: readonly { readonly message: string }[];
  readonly deployments: readonly {
    readonly id: string;
    readonly status: string;
    readonly taskDefinition: string;
    readonly rolloutState: string;
    readonly rolloutStateReason: string;
    readonly failedTasks: number;
    readonly runningCount: number;
  }[];
}

export interface EngineFixture {
  readonly engine: Engine;
  readonly agent: ScriptedAgent;
  readonly targets: ScriptedTargetGroups;
  readonly clock: ManualClock;
  readonly events: EngineEvent[];
  /** The records as the engine of this moment sees them. */
  readonly records: MortalRecords;
  /** The body of a successful call. */
  ecs(operation: string, input?: object): Promise<Body>;
  /** The body of a call that must be refused. */
  refused(operation: string, input?: object): Promise<Body>;
  /** Registers an instance; gives its ARN. */
  instance(size?: { cpu?: number; memory?: number; attributes?: { name: string; value?: string }[] }): Promise<string>;
  /** Registers a definition of one container; gives its ARN. */
  definition(family: string, change?: object, container?: object): Promise<string>;
  service(name: string): Promise<ServiceBody>;
  tasks(filter?: object): Promise<readonly TaskBody[]>;
  /** Waits until the engine has nothing more to do at this time of the clock. */
  quiet(): Promise<void>;
  /** Kills the engine at whatever await it stands, and starts a new one over the same records. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

export async function createEngineFixture(
  options: Partial<EngineOptions> & { auto?: boolean; withoutCluster?: boolean; simulated?: boolean } = {},
): Promise<EngineFixture> {
  const { auto, withoutCluster, simulated, ...engineOptions } = options;
  const clock = manualClock();
  const store = await createTestStore({ clock });
  const agent = new ScriptedAgent(clock, { auto: auto ?? false });
  const targets = new ScriptedTargetGroups();
  const events: EngineEvent[] = [];
  let records = mortalRecords(store.records);
  const make = (): Engine => {
    records = mortalRecords(store.records);
    const runs = simulated === true ? createSimulatedAgent({ clock, logger: silentLogger }) : agent;
    const made = createEngine(
      { records, agent: runs, targetGroups: targets, clock, ids: store.ids, logger: silentLogger },
      { region: 'eu-central-1', accountId: '123456789012', random: () => 0, ...engineOptions },
    );
    made.onEvent((event) => events.push(event));
    return made;
  };
  let engine = make();
  await engine.start();

  async function call(operation: string, input: object): Promise<{ status: number; body: Body }> {
    const response = await engine.fetch(
      new Request('http://engine/', {
        method: 'POST',
        headers: { 'x-amz-target': `AmazonEC2ContainerServiceV20141113.${operation}` },
        body: JSON.stringify(input),
      }),
    );
    return { status: response.status, body: (await response.json()) as Body };
  }

  const fixture: EngineFixture = {
    get engine() {
      return engine;
    },
    agent,
    targets,
    clock,
    events,
    get records() {
      return records;
    },
    async ecs(operation, input = {}) {
      const { status, body } = await call(operation, input);
      if (status !== 200) throw new Error(`${operation}: ${String(status)} ${JSON.stringify(body)}`);
      // Every answer that any test of the engine gets is held against the service model.
      const problems = shapeProblems(operation, body);
      if (problems.length > 0) throw new Error(`${operation}: ${problems.join('; ')}`);
      return body;
    },
    async refused(operation, input = {}) {
      const { status, body } = await call(operation, input);
      if (status === 200) throw new Error(`${operation} was not refused: ${JSON.stringify(body)}`);
      return { ...body, status };
    },
    async instance({ cpu = 2048, memory = 4096, attributes = [] } = {}) {
      const body = await fixture.ecs('RegisterContainerInstance', {
        totalResources: [
          { name: 'CPU', type: 'INTEGER', integerValue: cpu },
          { name: 'MEMORY', type: 'INTEGER', integerValue: memory },
        ],
        attributes,
      });
      return (body['containerInstance'] as { containerInstanceArn: string }).containerInstanceArn;
    },
    async definition(family, change = {}, container = {}) {
      const body = await fixture.ecs('RegisterTaskDefinition', {
        family,
        containerDefinitions: [{ name: 'app', image: 'hello:1', cpu: 128, memory: 128, ...container }],
        ...change,
      });
      return (body['taskDefinition'] as { taskDefinitionArn: string }).taskDefinitionArn;
    },
    async service(name) {
      const body = await fixture.ecs('DescribeServices', { services: [name] });
      const service = body.services?.[0];
      if (service === undefined) throw new Error(`no service ${name}`);
      return service;
    },
    async tasks(filter = {}) {
      const { taskArns } = (await fixture.ecs('ListTasks', filter)) as unknown as { taskArns: string[] };
      if (taskArns.length === 0) return [];
      return (await fixture.ecs('DescribeTasks', { tasks: taskArns })).tasks ?? [];
    },
    async quiet() {
      // Between two requests of a handler there are only microtasks, so a few idle turns mean that nobody goes on.
      for (let idle = 0; idle < IDLE_TURNS; idle += 1) {
        await new Promise((resolve) => setImmediate(resolve));
        if (records.inFlight > 0) idle = -1;
      }
    },
    async restart() {
      records.kill();
      agent.abandon();
      engine = make();
      await engine.start();
    },
    async close() {
      await engine.stop();
      await store.close();
    },
  };
  if (withoutCluster !== true) await fixture.ecs('CreateCluster');
  return fixture;
}

const IDLE_TURNS = 5;
const LONGEST_MS = 10_000;

/** Waits for the engine's loops, not for time: the clock of the fixture stands still meanwhile. */
export async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  const end = performance.now() + LONGEST_MS;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`never came about: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The last part of an ARN. */
export const idOf = (arn: string): string => arn.split('/').at(-1) ?? '';
