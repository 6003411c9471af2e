/**
 * Services of an account in bad weather: calls that are throttled, fail, or whose connection is cut before or after the
 * work is done, each by itself and in storms that outlast any client's own retries. Good until it is turned.
 */
import type { JsonFault } from '../json-api.js';
import type { S3Fault } from '../s3/index.js';

type Service = 's3' | 'dynamoDb' | 'sqs' | 'ecs' | 'ecr';

const THROTTLED: Readonly<Record<Service, { readonly status: number; readonly type: string }>> = {
  s3: { status: 503, type: 'SlowDown' },
  dynamoDb: { status: 400, type: 'ProvisionedThroughputExceededException' },
  sqs: { status: 400, type: 'RequestThrottled' },
  ecs: { status: 400, type: 'ThrottlingException' },
  ecr: { status: 400, type: 'ThrottlingException' },
};
const FAILED: Readonly<Record<Service, { readonly status: number; readonly type: string }>> = {
  s3: { status: 500, type: 'InternalError' },
  dynamoDb: { status: 500, type: 'InternalServerError' },
  sqs: { status: 500, type: 'InternalError' },
  ecs: { status: 500, type: 'ServerException' },
  ecr: { status: 500, type: 'ServerException' },
};
const KINDS = ['throttled', 'failed', 'cut-before', 'cut-after'] as const;
type Kind = (typeof KINDS)[number];

export interface WeatherOptions {
  /** Share of calls that a fault meets. @default 0.05 */
  readonly share?: number;
  /** Share of calls that begin a storm. @default 0.003 */
  readonly storms?: number;
  /** Calls that fail in one. @default 15 */
  readonly stormCalls?: number;
}

export class Weather {
  /** How many calls each kind of fault has met since it was turned bad. */
  met: Record<string, number> = {};
  private random: { next(): number } | undefined;
  private readonly storms = new Map<Service, number>();

  constructor(private readonly options: WeatherOptions = {}) {}

  /** @param random what comes follows from it and from the order of calls */
  turnBad(random: { next(): number }): void {
    this.random = random;
    this.met = {};
  }

  turnGood(): void {
    this.random = undefined;
    this.storms.clear();
  }

  readonly faults = {
    s3: (): S3Fault => {
      const fault = this.fault('s3');
      return typeof fault === 'object' ? { status: fault.status, code: fault.type } : fault;
    },
    dynamoDb: (): JsonFault => this.fault('dynamoDb'),
    sqs: (operation: string): JsonFault => (operation === 'ReceiveMessage' ? undefined : this.fault('sqs')),
    ecs: (): JsonFault => this.fault('ecs'),
    ecr: (): JsonFault => this.fault('ecr'),
  };

  private fault(service: Service): Exclude<JsonFault, 'hang-before' | 'hang-after'> {
    const kind = this.random === undefined ? undefined : this.kind(service, this.random);
    if (kind === undefined) return undefined;
    this.met[`${service} ${kind}`] = (this.met[`${service} ${kind}`] ?? 0) + 1;
    if (kind === 'throttled') return THROTTLED[service];
    return kind === 'failed' ? FAILED[service] : kind;
  }

  private kind(service: Service, random: { next(): number }): Kind | undefined {
    const { share = 0.05, storms = 0.003, stormCalls = 15 } = this.options;
    const left = this.storms.get(service) ?? (random.next() < storms ? stormCalls : 0);
    if (left > 1) this.storms.set(service, left - 1);
    else this.storms.delete(service);
    if (left > 0) return 'failed';
    return random.next() < share ? KINDS[Math.floor(random.next() * KINDS.length)] : undefined;
  }
}
