/**
 * The registry front as a container of the deployed service runs it: the bundle out of the context that the template
 * names, in a process with the settings of the task definition, over fakes of S3, DynamoDB and Secrets Manager.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AddressInfo, createServer } from 'node:net';
import { App, Stack } from 'aws-cdk-lib';
import {
  ContainerCluster,
  ImageBuilder,
  ImageStore,
  RegistryFront,
  type RegistryFrontProps,
} from '../../lib/constructs/index.js';
import { FRONT_BUNDLE } from '../../lib/constructs/registry-front-image.js';
import { ADMIN_TOKEN, SEALING_KEY } from '../fakes/account/account.js';
import { makeResources, type Services, startServices } from '../fakes/account/services.js';
import { REGION, type Template, Templates } from '../fakes/account/template.js';
import { fakeCredentials } from '../fakes/s3/index.js';

interface ContainerDefinition {
  readonly Environment: readonly { readonly Name: string; readonly Value: string }[];
}

export interface FrontProcess {
  readonly host: string;
  readonly services: Services;
  readonly child: ChildProcess;
  /** By the template, for what the process is told. */
  readonly settings: Readonly<Record<string, string>>;
  /** Where the account's services are, and its keys. */
  readonly environment: Readonly<Record<string, string>>;
  /** Its exit code. */
  readonly ended: Promise<number | null>;
  close(): Promise<void>;
}

/** A stack with a front, and the context of its image unpacked. */
export function synthesiseFront(
  folder: string,
  props: Partial<RegistryFrontProps> = {},
): { readonly template: Template; readonly context: string } {
  const app = new App({ outdir: join(folder, 'cdk.out'), context: { 'aws:cdk:bundling-stacks': [] } });
  const stack = new Stack(app, 'Test');
  const store = new ImageStore(stack, 'Store');
  const builder = new ImageBuilder(stack, 'Builder', { store });
  const capacity = new ContainerCluster(stack, 'Capacity');
  const front = new RegistryFront(stack, 'Front', { store, builder, capacity, plainHttp: true, ...props });
  const assembly = app.synth();
  const context = join(folder, 'context');
  mkdirSync(context);
  execFileSync('tar', ['-C', context, '-xf', join(assembly.directory, front.image?.asset.assetPath ?? '')]);
  return { template: assembly.getStackByName('Test').template as Template, context };
}

export async function startFrontProcess(): Promise<FrontProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'wharf-front-'));
  const { template, context } = synthesiseFront(folder);
  const services = await startServices({}, (arn) => (arn.includes('Token') ? ADMIN_TOKEN : SEALING_KEY));
  const templates = new Templates({ Test: template }, services.endpoints.sqs);
  await makeResources(services, templates);
  const settings = settingsOf(templates);
  const environment = {
    AWS_REGION: REGION,
    AWS_ACCESS_KEY_ID: fakeCredentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: fakeCredentials.secretAccessKey,
    AWS_ENDPOINT_URL_S3: services.endpoints.s3,
    AWS_ENDPOINT_URL_DYNAMODB: services.endpoints.dynamoDb,
    AWS_ENDPOINT_URL_SECRETS_MANAGER: services.endpoints.secrets,
  };
  const port = await freePort();
  const host = `127.0.0.1:${port}`;
  const child = spawn(process.execPath, [join(context, FRONT_BUNDLE)], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...settings,
      PORT: String(port),
      // In the template it is the name of a load balancer, which nobody made.
      WHARF_PUBLIC_URL: `http://${host}`,
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
      ...environment,
    },
  });
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  await Promise.race([answers(host), ended.then((code) => Promise.reject(new Error(`ended: ${code}`)))]);
  return {
    host,
    services,
    child,
    settings,
    environment,
    ended,
    async close() {
      child.kill('SIGKILL');
      await ended;
      await services.close();
      rmSync(folder, { recursive: true });
    },
  };
}

function settingsOf(templates: Templates): Record<string, string> {
  const containers = templates
    .ofType('AWS::ECS::TaskDefinition')
    .flatMap(({ properties }) => properties['ContainerDefinitions'] as readonly ContainerDefinition[]);
  return Object.fromEntries(
    containers.flatMap(({ Environment }) => Environment.map(({ Name, Value }) => [Name, Value] as const)),
  );
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function answers(host: string): Promise<void> {
  for (;;) {
    const answer = await fetch(`http://${host}/healthz`).catch(() => undefined);
    if (answer?.ok === true) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
