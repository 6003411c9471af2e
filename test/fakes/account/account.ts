/**
 * An AWS account with Wharf deployed to it: what `cdk synth` made is taken as it is. Each function runs from its asset
 * with the settings of its template, queues feed functions, rules feed both, and a gateway with the template's routes
 * is in front. ECS and ECR are handed in: a test scripts them, the demo runs real containers.
 */
import { join } from 'node:path';
import type { Synthesis } from '../../synth/synthesis.js';
import { EventBus, type EventPattern, type Rule } from '../lambda/event-bus.js';
import { EventSource } from '../lambda/event-source.js';
import { LambdaFunction } from '../lambda/function.js';
import { type Gateway, startGateway } from '../lambda/gateway.js';
import { fakeCredentials } from '../s3/index.js';
import { makeResources, type ServiceFaults, type Services, startServices } from './services.js';
import { type Deployed, REGION, type Template, Templates } from './template.js';

export const ADMIN_TOKEN = 'Aq3'.repeat(14);
/** Of those who may deploy, where a stack makes such a token. */
export const DEPLOY_TOKEN = 'Dp7'.repeat(15);
export const SEALING_KEY = 'S'.repeat(43);

export interface AccountOptions {
  readonly synthesis: Synthesis;
  readonly ecsEndpoint: string;
  readonly ecrEndpoint: string;
  readonly faults?: ServiceFaults;
  /** Of functions, in the place of what the templates say. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface Account {
  /** By the name of its file in `lambdas/`. */
  fn(name: string): LambdaFunction;
  /** The same function once more, with other settings where given; undefined takes one away. The caller closes it. */
  another(name: string, settings?: Readonly<Record<string, string | undefined>>): LambdaFunction;
  /** From the queue with this in its name to its function; stands still until it is started or polled. */
  source(name: string): EventSource;
  readonly sources: readonly EventSource[];
  readonly bus: EventBus;
  readonly gateway: Gateway;
  readonly services: Services;
  readonly templates: Templates;
  /** What every process of this account is told: region, keys, endpoints. */
  readonly environment: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

export async function openAccount(options: AccountOptions): Promise<Account> {
  const { synthesis } = options;
  const services = await startServices(options.faults ?? {}, secretOf);
  const templates = new Templates(readTemplates(synthesis), services.endpoints.sqs);
  await makeResources(services, templates);
  const environment = {
    AWS_REGION: REGION,
    AWS_ACCESS_KEY_ID: fakeCredentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: fakeCredentials.secretAccessKey,
    AWS_ENDPOINT_URL_S3: services.endpoints.s3,
    AWS_ENDPOINT_URL_DYNAMODB: services.endpoints.dynamoDb,
    AWS_ENDPOINT_URL_SQS: services.endpoints.sqs,
    AWS_ENDPOINT_URL_SECRETS_MANAGER: services.endpoints.secrets,
    AWS_ENDPOINT_URL_ECS: options.ecsEndpoint,
    AWS_ENDPOINT_URL_ECR: options.ecrEndpoint,
    ...options.settings,
  };
  const deployed = templates.ofType('AWS::Lambda::Function').filter(({ properties }) => 'Handler' in properties);
  const functions = new Map(deployed.map((each) => [each.id, functionOf(each, synthesis, environment)]));
  const sources = new Map(
    templates
      .ofType('AWS::Lambda::EventSourceMapping')
      .map((mapping) => sourceOf(mapping, functions, services, templates)),
  );
  const gateway = await startGateway(routesOf(templates, functions));
  const idOf = (name: string): string => {
    const wanted = `${name.split('-').map(capitalised).join('')}Function`;
    const found = deployed.find(({ id }) => id.replace(/[0-9A-F]{8}$/, '').endsWith(wanted));
    if (found === undefined) throw new Error(`no function ${name} is deployed`);
    return found.id;
  };
  return {
    fn: (name) => get(functions, idOf(name)),
    another(name, settings = {}) {
      const found = deployed.find(({ id }) => id === idOf(name));
      if (found === undefined) throw new Error(`no function ${name}`);
      return functionOf(found, synthesis, environment, settings);
    },
    source(name) {
      const [found] = [...sources].filter(([queue]) => queue.includes(name));
      if (found === undefined) throw new Error(`no queue ${name} feeds a function`);
      return found[1];
    },
    sources: [...sources.values()],
    bus: new EventBus(templates.ofType('AWS::Events::Rule').map((rule) => ruleOf(rule, functions, services))),
    gateway,
    services,
    templates,
    environment,
    async close() {
      await Promise.all([...sources.values()].map((source) => source.stop()));
      await gateway.close();
      await Promise.all([...functions.values()].map((fn) => fn.close()));
      await services.close();
    },
  };
}

function secretOf(arn: string): string {
  if (arn.includes('DeployToken')) return DEPLOY_TOKEN;
  return arn.includes('Token') ? ADMIN_TOKEN : SEALING_KEY;
}

function readTemplates(synthesis: Synthesis): Readonly<Record<string, Template>> {
  const manifest = synthesis.readJson('manifest.json') as { artifacts: Record<string, { type: string }> };
  const stacks = Object.entries(manifest.artifacts).filter(([, { type }]) => type === 'aws:cloudformation:stack');
  return Object.fromEntries(stacks.map(([name]) => [name, synthesis.readJson(`${name}.template.json`) as Template]));
}

function functionOf(
  { id, properties }: Deployed,
  synthesis: Synthesis,
  account: Readonly<Record<string, string>>,
  settings: Readonly<Record<string, string | undefined>> = {},
): LambdaFunction {
  const { Variables = {} } = (properties['Environment'] ?? {}) as { Variables?: Record<string, string> };
  const { Size = 512 } = (properties['EphemeralStorage'] ?? {}) as { Size?: number };
  const { S3Key } = properties['Code'] as { S3Key: string };
  const environment = Object.entries({ ...Variables, ...account, ...settings });
  const given = environment.filter((entry): entry is [string, string] => entry[1] !== undefined);
  const reserved = properties['ReservedConcurrentExecutions'];
  return new LambdaFunction(
    {
      name: id,
      code: join(synthesis.directory, `asset.${S3Key.replace(/\.zip$/, '')}`),
      handler: String(properties['Handler']),
      timeoutMs: Number(properties['Timeout']) * 1000,
      memoryMiB: Number(properties['MemorySize']),
      scratchMiB: Size,
      environment: Object.fromEntries(given),
    },
    typeof reserved === 'number' ? { concurrency: reserved } : {},
  );
}

function sourceOf(
  { properties }: Deployed,
  functions: ReadonlyMap<string, LambdaFunction>,
  services: Services,
  templates: Templates,
): [queue: string, source: EventSource] {
  const queueArn = String(properties['EventSourceArn']);
  const queue = lastPart(queueArn);
  const { MaximumConcurrency } = (properties['ScalingConfig'] ?? {}) as { MaximumConcurrency?: number };
  const declared = templates.ofType('AWS::SQS::Queue').find(({ id }) => id === queue);
  const source = new EventSource(
    { client: services.queues, target: get(functions, String(properties['FunctionName'])) },
    {
      queueArn,
      queueUrl: `${services.endpoints.sqs}/000000000000/${queue}`,
      batchSize: Number(properties['BatchSize'] ?? 10),
      maxConcurrency: MaximumConcurrency ?? 5,
      reportsFailures: JSON.stringify(properties['FunctionResponseTypes'] ?? []).includes('ReportBatchItemFailures'),
      visibilitySeconds: Number(declared?.properties['VisibilityTimeout'] ?? 30),
    },
  );
  return [queue, source];
}

interface RuleTarget {
  readonly Arn: string;
  readonly InputTransformer?: { readonly InputPathsMap?: Record<string, string>; readonly InputTemplate: string };
}

function ruleOf(
  { id, properties }: Deployed,
  functions: ReadonlyMap<string, LambdaFunction>,
  services: Services,
): Rule {
  const pattern = properties['EventPattern'] as EventPattern | undefined;
  const schedule = properties['ScheduleExpression'] as string | undefined;
  return {
    name: id,
    ...(pattern === undefined ? {} : { pattern }),
    ...(schedule === undefined ? {} : { schedule }),
    targets: (properties['Targets'] as readonly RuleTarget[]).map(({ Arn, InputTransformer: transformer }) => ({
      to: Arn.includes(':sqs:')
        ? { client: services.queues, queueUrl: `${services.endpoints.sqs}/000000000000/${lastPart(Arn)}` }
        : { fn: get(functions, lastPart(Arn)) },
      ...(transformer === undefined
        ? {}
        : { transform: { paths: transformer.InputPathsMap ?? {}, template: transformer.InputTemplate } }),
    })),
  };
}

function routesOf(templates: Templates, functions: ReadonlyMap<string, LambdaFunction>) {
  const integrations = new Map(
    templates
      .ofType('AWS::ApiGatewayV2::Integration')
      .map(({ id, properties }) => [id, lastPart(String(properties['IntegrationUri']))]),
  );
  return templates.ofType('AWS::ApiGatewayV2::Route').map(({ properties }) => {
    const integration = get(integrations, String(properties['Target']).replace('integrations/', ''));
    return { key: String(properties['RouteKey']), target: get(functions, integration) };
  });
}

function get<T>(map: ReadonlyMap<string, T>, key: string): T {
  const value = map.get(key);
  if (value === undefined) throw new Error(`the templates name ${key}, and nothing of that name is deployed`);
  return value;
}

const lastPart = (arn: string): string => arn.slice(arn.lastIndexOf(':') + 1);
const capitalised = (word: string): string => `${word.charAt(0).toUpperCase()}${word.slice(1)}`;
