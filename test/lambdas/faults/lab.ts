/**
 * An account in which functions are killed and services fail, and a later hour of it: the same functions with a clock that is ahead, so
 * that leases, claims and messages of the dead have run out without anybody waiting.
 */
import { decodeMessage } from '../../../lib/build/build-records.js';
import { WharfClient } from '../../../lib/client/index.js';
import { toAppError } from '../../../lib/errors/index.js';
import { Doom } from '../../fakes/account/doom.js';
import { Stall } from '../../fakes/account/stall.js';
import { Weather } from '../../fakes/account/weather.js';
import type { SqsEvent } from '../../fakes/lambda/event-source.js';
import type { LambdaFunction } from '../../fakes/lambda/function.js';
import { type Gateway, startGateway } from '../../fakes/lambda/gateway.js';
import { Wire } from '../../protocol/registry/wire.js';
import { ADMIN_TOKEN, type Cloud, type FunctionName, openCloud } from '../cloud.js';
import { addCluster } from '../instance.js';

export const CLUSTER = 'wharf';
export const SCHEDULED = { source: 'aws.events', 'detail-type': 'Scheduled Event' };
const MINUTES = 60_000;
const LATER_MS = 5 * MINUTES;
/** Of upkeep: counted and not timed, since a busy machine takes its time. */
const MOST_ROUNDS = 300;
const tokens = { admin: ADMIN_TOKEN, deploy: '', read: '' };

export interface Hour {
  fn(name: FunctionName): LambdaFunction;
  readonly wire: Wire;
  readonly client: WharfClient;
  /** A JSON call of the API, whatever it answers; 500 when the function died. */
  call(method: string, path: string, options?: CallOptions): Promise<{ readonly status: number; readonly body: Json }>;
}

export interface CallOptions {
  readonly key?: string;
  readonly json?: object;
  readonly tar?: Uint8Array;
}

export type Json = Readonly<Record<string, unknown>>;

export class KillLab {
  private readonly events = new Map<string, SqsEvent[]>();

  private constructor(
    readonly cloud: Cloud,
    readonly doom: Doom,
    readonly stall: Stall,
    readonly weather: Weather,
    readonly now: Hour,
    readonly later: Hour,
    private readonly ends: (() => Promise<void>)[],
  ) {}

  static async open(): Promise<KillLab> {
    const doom = new Doom();
    const stall = new Stall();
    const weather = new Weather();
    const cloud = await openCloud({
      s3: (call) => doom.faults.s3(call) ?? weather.faults.s3(),
      dynamoDb: (operation) => doom.faults.dynamoDb(operation) ?? weather.faults.dynamoDb(),
      sqs: (operation) => doom.faults.sqs(operation) ?? weather.faults.sqs(operation),
      ecs: (operation) => doom.faults.ecs(operation) ?? stall.fault(operation) ?? weather.faults.ecs(),
      ecr: (operation) => doom.faults.ecr(operation) ?? weather.faults.ecr(),
    });
    const ahead = new Map(
      (['api', 'registry', 'builder', 'reconciler'] as const).map((name) => [name, aheadOf(cloud, name, LATER_MS)]),
    );
    const fn = (name: FunctionName): LambdaFunction => {
      const found = ahead.get(name as 'api');
      if (found === undefined) throw new Error(`no later ${name}`);
      return found;
    };
    const gateway = await startGateway([
      { key: 'ANY /v2/{proxy+}', target: fn('registry') },
      { key: 'ANY /token', target: fn('registry') },
      { key: '$default', target: fn('api') },
    ]);
    const ends = [() => gateway.close(), ...[...ahead.values()].map((each) => () => each.close()), () => cloud.close()];
    const now = hour(cloud.gateway, (name) => cloud.fn(name));
    const lab = new KillLab(cloud, doom, stall, weather, now, hour(gateway, fn), ends);
    await lab.addCluster();
    return lab;
  }

  /** The collector so many days ahead: whatever is unused has been so for long. The caller closes it. */
  collector(days: number): LambdaFunction {
    return aheadOf(this.cloud, 'collector', days * 24 * 60 * MINUTES);
  }

  /** The events by which the queue hands this build to the builder, those that were taken before with them. */
  async eventsOf(build: string): Promise<readonly SqsEvent[]> {
    for (let taken = await this.cloud.takeBuildEvents(); taken.length > 0; taken = await this.cloud.takeBuildEvents()) {
      for (const event of taken) {
        const id = decodeMessage(event.Records[0]?.body ?? '') ?? '';
        this.events.set(id, [...(this.events.get(id) ?? []), event]);
      }
    }
    return this.events.get(build) ?? [];
  }

  /** What the platform does by itself every minute, until this holds. */
  async upkeep(what: string, holds: () => Promise<boolean>): Promise<void> {
    for (let round = 0; round < MOST_ROUNDS; round += 1) {
      await this.later.fn('reconciler').invoke(SCHEDULED);
      if (await holds()) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`never came about in ${MOST_ROUNDS} rounds: ${what}`);
  }

  async close(): Promise<void> {
    for (const end of this.ends) await end();
  }

  private async addCluster(): Promise<void> {
    await addCluster(this.cloud.ecs, CLUSTER, { instanceType: 'large', cpu: 1_000_000, memory: 1_000_000 });
    await this.now.client.clusters.put(CLUSTER, { instances: 1 });
  }
}

function aheadOf(cloud: Cloud, name: FunctionName, aheadMs: number): LambdaFunction {
  // Signatures are made of `new Date()`, which stays.
  const shift = `const { now } = Date; Date.now = () => now() + ${aheadMs};`;
  return cloud.another(name, { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(shift)}` });
}

function hour(gateway: Gateway, fn: Hour['fn']): Hour {
  return {
    fn,
    wire: new Wire({ url: gateway.url, tokens }),
    client: new WharfClient({ url: gateway.url, token: ADMIN_TOKEN }),
    async call(method, path, { key, json, tar } = {}) {
      const response = await fetch(new URL(path, gateway.url), {
        method,
        headers: {
          authorization: `Bearer ${ADMIN_TOKEN}`,
          ...(key === undefined ? {} : { 'idempotency-key': key }),
          ...(json === undefined ? {} : { 'content-type': 'application/json' }),
          ...(tar === undefined ? {} : { 'content-type': 'application/x-tar' }),
        },
        ...(json === undefined ? {} : { body: JSON.stringify(json) }),
        ...(tar === undefined ? {} : { body: tar }),
      });
      const text = await response.text();
      return { status: response.status, body: text.startsWith('{') ? (JSON.parse(text) as Json) : {} };
    },
  };
}

/** Whether it is there: 404 is an answer, everything else an error. */
export async function found<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (toAppError(error).kind === 'not-found') return undefined;
    throw error;
  }
}
