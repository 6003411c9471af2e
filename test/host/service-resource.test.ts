/**
 * The function that deploys services of templates: its bundle out of the synthesised example, in the local Lambda
 * runtime, against a platform over HTTP whose engine is simulated.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { WharfClient } from '../../lib/client/index.js';
import { AppError, type ErrorKind } from '../../lib/errors/index.js';
import { type ServiceEvent, ServiceResource } from '../../lib/host/aws/service-resource.js';
import { type EmbeddedPlatform, startEmbedded } from '../../lib/host/embedded/platform.js';
import { writeTar } from '../../lib/layers/index.js';
import { silentLogger } from '../../lib/store/index.js';
import { membersOf } from '../build/fixture.js';
import { startJsonApi } from '../fakes/json-api.js';
import { LambdaFunction } from '../fakes/lambda/function.js';
import { fakeCredentials } from '../fakes/s3/index.js';
import { type Synthesis, synthesise } from '../synth/synthesis.js';

interface Answer {
  readonly PhysicalResourceId: string;
  readonly DeploymentId: string;
  readonly IsComplete: boolean;
  readonly Data?: { readonly Release: number; readonly Digest: string };
}

let folder: string;
let synthesis: Synthesis;
let platform: EmbeddedPlatform;
let secrets: Awaited<ReturnType<typeof startJsonApi>>;
let fn: LambdaFunction;
let client: WharfClient;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wharf-service-resource-'));
  synthesis = synthesise({ app: 'examples/cdk-service/app.ts' });
  platform = await startEmbedded({
    data: join(folder, 'data'),
    listen: { host: '127.0.0.1', port: 0 },
    runtime: 'simulated',
  });
  client = new WharfClient(platform);
  const { token } = await client.tokens.create('those who deploy', 'deploy');
  secrets = await startJsonApi(async () => ({ status: 200, body: JSON.stringify({ SecretString: token }) }));
  fn = functionOf(synthesis, {
    WHARF_API_URL: platform.url,
    AWS_ENDPOINT_URL_SECRETS_MANAGER: secrets.endpoint,
  });
  await client.clusters.put('wharf', { instances: 1 });
  for (const tag of ['shop/web:1', 'shop/web:2']) await build(tag);
}, 180_000);
afterAll(async () => {
  await fn.close();
  await platform.close();
  await secrets.close();
  synthesis.remove();
  await rm(folder, { recursive: true });
});

function functionOf(from: Synthesis, settings: Record<string, string>): LambdaFunction {
  const [deployed] = from.ofType('Shop', 'AWS::Lambda::Function').filter(({ Properties }) => {
    const { Variables = {} } = (Properties['Environment'] ?? {}) as { Variables?: object };
    return 'WHARF_API_URL' in Variables;
  });
  if (deployed === undefined) throw new Error('the example deploys no service');
  const { Variables } = deployed.Properties['Environment'] as { Variables: Record<string, string> };
  return new LambdaFunction({
    name: 'service-resource',
    code: from.codeOf('Shop', 'WharfServices'),
    handler: String(deployed.Properties['Handler']),
    memoryMiB: 512,
    scratchMiB: 512,
    timeoutMs: 60_000,
    environment: {
      ...Variables,
      AWS_REGION: 'eu-central-1',
      AWS_ACCESS_KEY_ID: fakeCredentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: fakeCredentials.secretAccessKey,
      ...settings,
    },
  });
}

async function build(tag: string): Promise<void> {
  const files = { Dockerfile: `FROM scratch\nLABEL tag=${tag}\nCOPY Dockerfile /\nCMD ["/x"]\n` };
  const { id } = await client.builds.fromTar(writeTar(membersOf(files)), { tags: [tag] });
  for await (const { event } of client.builds.follow(id)) {
    if (event.type === 'finished' && event.status !== 'succeeded') throw new Error(JSON.stringify(event.error));
  }
}

/** What the template of the example says, with another spec where given. */
function properties(spec: object = {}, name = 'web'): Record<string, unknown> {
  const [service] = synthesis.ofType('Shop', 'Custom::WharfService');
  if (service === undefined) throw new Error('the example declares no service');
  const { Spec, ...others } = service.Properties as { Spec: string };
  // The simulated tasks run no health command.
  const { health: _, ...given } = JSON.parse(Spec) as { health?: object };
  return { ...others, ServiceName: name, Spec: JSON.stringify({ ...given, ...spec }) };
}

interface Told {
  readonly RequestType: 'Create' | 'Update' | 'Delete';
  readonly ResourceProperties: Record<string, unknown>;
  readonly PhysicalResourceId?: string;
}

/** As the provider framework does it: begins, then asks until it is done. */
async function tell(event: Told): Promise<Answer> {
  const begun = await fn.invoke<Answer>(event);
  for (;;) {
    const progress = await fn.invoke<Answer>({ ...event, ...begun });
    if (progress.IsComplete) return { ...begun, ...progress };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const releaseOf = async (name: string): Promise<number> => (await client.services.get('wharf', name)).release;

describe('a service that a template wants', () => {
  test('is deployed when it is created, once, however often that is said', async () => {
    const event: Told = { RequestType: 'Create', ResourceProperties: properties() };
    const { PhysicalResourceId, Data } = await tell(event);
    expect([PhysicalResourceId, Data?.Release]).toEqual(['wharf/web', 1]);
    expect(Data?.Digest).toBe((await client.images.get('shop/web:1')).digest);
    expect(await client.services.get('wharf', 'web')).toMatchObject({ currentRelease: 1, count: { running: 2 } });
    await tell(event);
    expect(await releaseOf('web')).toBe(1);
  });

  test('is another release when something of it changes, and none when nothing does', async () => {
    const update = (spec: object): Told => ({
      RequestType: 'Update',
      PhysicalResourceId: 'wharf/web',
      ResourceProperties: properties(spec),
    });
    expect((await tell(update({}))).Data?.Release).toBe(1);
    expect((await tell(update({ image: 'shop/web:2' }))).Data?.Release).toBe(2);
    expect((await tell(update({ image: 'shop/web:2', count: 1 }))).Data?.Release).toBe(3);
    // As a roll-back of CloudFormation says it.
    expect((await tell(update({}))).Data?.Release).toBe(4);
  });

  test('that somebody else deployed is not taken over, and not deleted when that fails', async () => {
    const spec = { image: 'shop/web:1', count: 1 };
    await client.services.put('wharf', 'theirs', spec);
    const event: Told = { RequestType: 'Create', ResourceProperties: properties({ count: 2 }, 'theirs') };
    await expect(fn.invoke(event)).rejects.toThrow(/service theirs is in cluster wharf already.*SERVICE_EXISTS/);
    // What the framework calls a resource that was never made.
    const failed = 'AWSCDK::CustomResourceProviderFramework::CREATE_FAILED';
    await tell({ ...event, RequestType: 'Delete', PhysicalResourceId: failed });
    expect((await client.services.get('wharf', 'theirs')).status).toBe('active');
    // A change of name is a new service, under the same rule.
    const renamed: Told = { ...event, RequestType: 'Update', PhysicalResourceId: 'wharf/web' };
    await expect(fn.invoke(renamed)).rejects.toThrow(/SERVICE_EXISTS/);
  });

  test('fails with the sentence and the code of the platform', async () => {
    const event: Told = { RequestType: 'Create', ResourceProperties: properties({ image: 'shop/absent:1' }, 'absent') };
    await expect(fn.invoke(event)).rejects.toThrow(/shop\/absent.*\([A-Z_]+\)/);
  });

  test('goes when it is deleted, and is gone when that is said again', async () => {
    const event: Told = {
      RequestType: 'Delete',
      PhysicalResourceId: 'wharf/web',
      ResourceProperties: properties(),
    };
    await tell(event);
    await expect(client.services.get('wharf', 'web')).rejects.toMatchObject({ code: 'SERVICE_NOT_FOUND' });
    expect((await tell(event)).IsComplete).toBe(true);
  });
});

describe('an API that is not always there', () => {
  const failure = (kind: ErrorKind, code: string): AppError => new AppError(code, code, { kind });

  /** The platform's own client, which fails with these first. */
  function resourceOver(failures: AppError[]): ServiceResource {
    const services = new Proxy(client.services, {
      get:
        (target, name: keyof WharfClient['services']) =>
        async (...input: never[]) => {
          const next = failures.shift();
          if (next !== undefined) throw next;
          return (target[name] as (...all: never[]) => unknown)(...input);
        },
    });
    const clock = { nowMs: () => Date.now(), sleep: () => Promise.resolve() };
    return new ServiceResource({ client: { services }, clock, logger: silentLogger });
  }

  test('is asked again for what passes: a copy under way, a gateway that gave up, a cluster not met yet', async () => {
    const event: ServiceEvent = { RequestType: 'Create', ResourceProperties: properties({ count: 1 }, 'late') };
    const begun = await resourceOver([
      failure('unavailable', 'SERVER_UNREACHABLE'),
      failure('internal', 'SERVER_ERROR'),
      failure('limited', 'RATE_LIMITED'),
    ]).onEvent(event);
    const unmet = [failure('not-found', 'SERVICE_NOT_FOUND'), failure('not-found', 'CLUSTER_NOT_FOUND')];
    const again = await resourceOver(unmet).onEvent(event);
    expect(again).toEqual(begun);
    const asked = resourceOver([
      failure('unavailable', 'IMAGE_MIRROR_UNFINISHED'),
      failure('internal', 'SERVER_ERROR'),
    ]);
    expect(typeof (await asked.isComplete({ ...event, ...begun })).IsComplete).toBe('boolean');
  });

  test('is not asked again for what it refuses', async () => {
    const event: ServiceEvent = { RequestType: 'Create', ResourceProperties: properties({}, 'refused') };
    const refused = resourceOver([failure('not-found', 'SERVICE_NOT_FOUND'), failure('invalid', 'SPEC_INVALID')]);
    await expect(refused.onEvent(event)).rejects.toThrow(/SPEC_INVALID/);
  });
});

test('no line that the function wrote shows the token', () => {
  expect(fn.lines.join('\n')).not.toMatch(/Bearer|wharf_[A-Za-z0-9]{8}/);
});
