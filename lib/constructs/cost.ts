/**
 * What an installation costs, from a table of prices and the month they were written down: for `docs/aws/cost.md`, and for the line that
 * synthesis prints. Prices are of us-east-1, in US dollars; an hour is 1/730 of a month.
 */
import { FUNCTION_MEMORY_MIB, type FunctionName } from './function-memory.js';

/**
 * Compared in the month of `date` with what others publish of AWS's price lists (expected outputs and tables of tools that
 * reckon costs), and with no price page of AWS itself and no bill.
 */
export const PRICES = {
  date: '2026-11',
  region: 'us-east-1',
  secretMonth: 0.4,
  sqsMillion: 0.4,
  lambdaMillion: 0.2,
  lambdaArmGiBSecond: 0.000_013_333_4,
  s3GiBMonth: 0.023,
  s3PutThousand: 0.005,
  dynamoDbWriteMillion: 0.625,
  ecrGiBMonth: 0.1,
  httpApiMillion: 1,
  transferOutGiB: 0.09,
  dashboardMonth: 3,
  alarmMonth: 0.1,
  t4gSmallHour: 0.0168,
  gp3GiBMonth: 0.08,
  publicIpv4Hour: 0.005,
  natHour: 0.045,
  natGiB: 0.045,
  albHour: 0.0225,
  codeBuildSmallArmMinute: 0.0034,
} as const;

const HOURS = 730;
const MINUTES = HOURS * 60;

export interface IdleOptions {
  /** Instances that stay when nothing runs. */
  readonly minInstances: number;
  readonly volumeGiB: number;
  readonly secrets: number;
  /** Queues that functions poll. */
  readonly queues: number;
  /** Reconciler, builder and collector, called by the clock. */
  readonly hasSchedules: boolean;
  readonly hasMonitoring: boolean;
  /** Its load balancer; the instances are counted above. */
  readonly hasRegistryFront: boolean;
}

/** What `bin/app.ts` deploys. */
export const WHOLE_PLATFORM: IdleOptions = {
  minInstances: 0,
  volumeGiB: 40,
  secrets: 2,
  queues: 2,
  hasSchedules: true,
  hasMonitoring: false,
  hasRegistryFront: false,
};

export interface CostLine {
  readonly what: string;
  readonly dollars: number;
}

/** Five pollers a queue, 20 s a poll: what Lambda asks of an empty queue. */
const POLLS_PER_QUEUE_MONTH = 5 * 3 * MINUTES;

/** Per month while nothing is built or asked, without any free tier. */
export function idleMonth(options: IdleOptions): readonly CostLine[] {
  const { minInstances, volumeGiB, secrets, queues } = options;
  const instance = HOURS * (PRICES.t4gSmallHour + PRICES.publicIpv4Hour) + volumeGiB * PRICES.gp3GiBMonth;
  return [
    { what: `${secrets} secret${secrets === 1 ? '' : 's'}`, dollars: secrets * PRICES.secretMonth },
    {
      what: `polling of ${queues} queue${queues === 1 ? '' : 's'}`,
      dollars: (queues * POLLS_PER_QUEUE_MONTH * PRICES.sqsMillion) / 1e6,
    },
    { what: 'the builder looking for lost messages, every five minutes', dollars: calls(MINUTES / 5, 'builder') },
    ...(options.hasSchedules
      ? [
          { what: 'the reconciler, a quarter of a second a minute', dollars: calls(MINUTES, 'reconciler') },
          { what: 'the builder looking after workers, as often', dollars: calls(MINUTES, 'builder') },
          { what: 'the collector, resting, every five minutes', dollars: calls(MINUTES / 5, 'collector') },
        ]
      : []),
    ...(minInstances > 0
      ? [{ what: `${minInstances} t4g.small with ${volumeGiB} GiB and an address`, dollars: minInstances * instance }]
      : []),
    ...(options.hasMonitoring
      ? [{ what: 'a dashboard and seven alarms', dollars: PRICES.dashboardMonth + 7 * PRICES.alarmMonth }]
      : []),
    ...(options.hasRegistryFront ? [loadBalancer()] : []),
  ];
}

/** So many calls a month of a function, a quarter of a second each. */
function calls(count: number, name: FunctionName): number {
  const gibSeconds = count * 0.25 * (FUNCTION_MEMORY_MIB[name] / 1024);
  return gibSeconds * PRICES.lambdaArmGiBSecond + (count * PRICES.lambdaMillion) / 1e6;
}

function loadBalancer(): CostLine {
  const dollars = HOURS * (PRICES.albHour + 2 * PRICES.publicIpv4Hour);
  return { what: 'a load balancer in two zones, idle, with its addresses', dollars };
}

function natGateway(): CostLine {
  return {
    what: 'a NAT gateway in one zone, with its address',
    dollars: HOURS * (PRICES.natHour + PRICES.publicIpv4Hour),
  };
}

/** 1,000 builds of a minute, 20 MB of new layers each, with their records. */
export function thousandBuilds(): readonly CostLine[] {
  const gibSeconds = 1000 * 60 * (FUNCTION_MEMORY_MIB.builder / 1024);
  return [
    { what: 'the builder function, a minute each', dollars: gibSeconds * PRICES.lambdaArmGiBSecond },
    { what: '200 writes to the table each', dollars: (1000 * 200 * PRICES.dynamoDbWriteMillion) / 1e6 },
    { what: '10 writes to the bucket each', dollars: 10 * PRICES.s3PutThousand },
  ];
}

/** The same done by hand: CodeBuild, ECR, a load balancer, and one NAT gateway for private subnets. */
export function byHandMonth(): readonly CostLine[] {
  return [natGateway(), loadBalancer()];
}

export interface ComparedLine {
  readonly what: string;
  readonly wharf: number;
  readonly byHand: number;
}

/** A month of a small team: one instance that stays, 1,000 builds, 100 GiB of images of which a fifth is deployed. */
export function teamMonth(): readonly ComparedLine[] {
  const withoutInstance = total(idleMonth(WHOLE_PLATFORM));
  const instance = total(idleMonth({ ...WHOLE_PLATFORM, minInstances: 1 })) - withoutInstance;
  const { dollars: balancer } = loadBalancer();
  return [
    { what: 'one t4g.small with 40 GiB and an address', wharf: instance, byHand: instance },
    { what: 'the platform itself, idle', wharf: withoutInstance, byHand: 0 },
    { what: 'a way out for private subnets: a NAT gateway', wharf: 0, byHand: natGateway().dollars },
    { what: 'a load balancer for a web service', wharf: balancer, byHand: balancer },
    {
      what: '1,000 builds: Lambda, or CodeBuild',
      wharf: total(thousandBuilds()),
      byHand: total(thousandBuildsByHand()),
    },
    {
      what: '100 GB of images: S3 and a fifth in ECR, or ECR',
      wharf: 100 * PRICES.s3GiBMonth + 20 * PRICES.ecrGiBMonth,
      byHand: 100 * PRICES.ecrGiBMonth,
    },
  ];
}

/** CodeBuild bills begun minutes, the start of its container among them. */
export function thousandBuildsByHand(): readonly CostLine[] {
  return [{ what: 'CodeBuild, arm1.small, two minutes each', dollars: 2000 * PRICES.codeBuildSmallArmMinute }];
}

export function total(lines: readonly CostLine[]): number {
  return lines.reduce((sum, { dollars }) => sum + dollars, 0);
}

/** For the synthesis: `about US$ 1.81 a month when idle (prices of us-east-1 in 2026-11, compared with no bill)`. */
export function idleSentence(options: IdleOptions): string {
  const sum = total(idleMonth(options)).toFixed(2);
  return `about US$ ${sum} a month when idle (prices of ${PRICES.region} in ${PRICES.date}, compared with no bill)`;
}
