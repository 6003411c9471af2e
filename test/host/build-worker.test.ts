/**
 * The worker of a RUN on AWS as it is deployed: its bundle (lib/host/aws/build-worker-main.ts) in the image that Wharf's
 * own builder makes while the stack is deployed, of a Dockerfile of COPY alone, run as a container, over fakes of S3,
 * DynamoDB, SQS and ECR. What asks for it is an image of a template, from CloudFormation's event to the digest.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { ImageEvent } from '../../lib/host/aws/image-request.js';
import type { ImageProgress } from '../../lib/host/aws/image-resource.js';
import { requireTools } from '../host-tools.js';
import { Wire } from '../protocol/registry/wire.js';
import { type BuildWorkerLab, LAB_POLICY, openBuildWorkerLab, WORKER_REPOSITORY } from './build-worker-lab.js';

const LONGEST_MS = 90_000;

interface LastWorker {
  readonly image: string;
  readonly environment: readonly { readonly name: string; readonly value: string }[];
}

const host = requireTools('root', 'runc', 'conmon', 'bridge', 'iptables', 'busybox');

host.describe('an image of a template with a RUN', () => {
  let lab: BuildWorkerLab;
  beforeAll(async () => {
    lab = await openBuildWorkerLab();
  }, 240_000);
  afterAll(async () => {
    await lab.close();
    expect(await lab.residue()).toEqual([]);
  }, 60_000);

  const workers = (): number => lab.ecs.calls.filter(({ operation }) => operation === 'RunTask').length;

  async function lastWorker(): Promise<LastWorker | undefined> {
    const { input } = lab.ecs.calls.findLast(({ operation }) => operation === 'RunTask') ?? {};
    const { taskDefinition } = (await lab.ecs.ask('DescribeTaskDefinition', {
      taskDefinition: input?.['taskDefinition'],
    })) as { taskDefinition: { containerDefinitions: readonly LastWorker[] } };
    return taskDefinition.containerDefinitions[0];
  }
  const lastWorkerImage = async (): Promise<string> => (await lastWorker())?.image ?? '';

  async function wanted(repository: string, dockerfile: string): Promise<ImageEvent> {
    lab.ecr.repositories.add(repository);
    return {
      RequestType: 'Create',
      RequestId: `create-${repository}`,
      ResourceProperties: {
        ContextBucket: 'assets',
        ContextKey: await lab.asset({ Dockerfile: dockerfile, greeting: 'hello\n' }),
        Repository: repository,
        Dockerfile: 'Dockerfile',
        Platform: lab.platform,
      },
    };
  }

  /** As the provider framework does: begins, and asks until it is done. */
  async function deploy(event: ImageEvent): Promise<ImageProgress> {
    const begun = await lab.resource.onEvent(event);
    await lab.build();
    const end = performance.now() + LONGEST_MS;
    while (performance.now() < end) {
      const progress = await lab.resource.isComplete({ ...event, ...begun });
      if (progress.IsComplete) return progress;
      await lab.builder.sweep();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`not done: ${JSON.stringify(await lab.builds.get(begun.BuildId))}`);
  }

  test('fails while the worker image of the stack is not made yet, and says who makes it', async () => {
    const failed = deploy(await wanted('too-early', 'FROM busybox:1\nRUN echo early > /early\n'));
    await expect(failed).rejects.toThrow(
      /cdk\/worker, and it is not there \(BUILD_RUN_UNAVAILABLE\)\n.*depend on that of the image of the workers/,
    );
    expect(workers()).toBe(0);
  }, 60_000);

  test('has workers of the image that the stack makes: once for the same sources', async () => {
    const first = await deploy(await lab.workerDeployment());
    const tags = await lab.registry.tags(`cdk/${WORKER_REPOSITORY}`);
    expect(tags?.map(({ digest }) => digest)).toEqual([first.Data?.Digest]);
    const again = await lab.workerDeployment();
    // Nothing to build, and nothing new to name.
    expect((await lab.resource.onEvent(again)).BuildId).toBe('');
    expect((await deploy(again)).Data).toEqual(first.Data);
    expect(await lab.registry.tags(`cdk/${WORKER_REPOSITORY}`)).toEqual(tags);
    expect(workers()).toBe(0);
  }, 120_000);

  test('goes on in a worker, and CloudFormation gets the digest that lies in ECR', async () => {
    const dockerfile = 'FROM busybox:1\nCOPY greeting /greeting\nRUN tr a-z A-Z < /greeting > /loud\n';
    const { Data } = await deploy(await wanted('with-run', dockerfile));
    expect(workers()).toBe(1);
    expect((await lastWorker())?.environment).toContainEqual({ name: 'WHARF_SOURCE_POLICY', value: LAB_POLICY });
    const wire = new Wire(lab.ecr.registry);
    const { bytes } = await wire.send('GET', `/v2/with-run/manifests/${Data?.Digest}`);
    const { layers } = JSON.parse(bytes.toString()) as { layers: readonly object[] };
    expect(layers).toHaveLength(3);
    // The same Dockerfile elsewhere: the RUN is in the cache, and needs no worker.
    const again = await deploy(await wanted('with-run-too', `${dockerfile}LABEL again=yes\n`));
    expect([workers(), again.Data?.ImageUri]).toEqual([1, expect.stringContaining('/with-run-too@sha256:')]);
  }, 120_000);

  test('that fails fails the stack with its line, what it is, and the last that it wrote', async () => {
    const dockerfile = 'FROM busybox:1\nCOPY greeting /greeting\n\nRUN echo about to fail && exit 7\n';
    const failed = deploy(await wanted('failing-run', dockerfile));
    await expect(failed).rejects.toThrow(/^Dockerfile:4: .*7.* \(BUILD_RUN_FAILED\)[\s\S]*\| about to fail$/);
    expect(workers()).toBe(2);
  }, 120_000);

  test('that is taken away while its build waits has no build any more, and starts no worker', async () => {
    const event = await wanted('gone', 'FROM busybox:1\nRUN echo never > /wanted\n');
    const begun = await lab.resource.onEvent(event);
    const gone: ImageEvent = { ...event, ...begun, RequestType: 'Delete', BuildId: '' };
    const removed = await lab.resource.onEvent({ ...gone, RequestId: 'delete-gone' });
    expect(await lab.resource.isComplete({ ...gone, ...removed })).toEqual({ IsComplete: true });
    await lab.build();
    expect([(await lab.builds.get(begun.BuildId))?.status, workers()]).toEqual(['cancelled', 2]);
  });

  test('goes on in the worker of the newest version, and in that of the one before once that is rolled back', async () => {
    const before = (await deploy(await lab.workerDeployment())).Data?.Digest;
    const event = await lab.workerDeployment('the next version');
    const begun = await lab.resource.onEvent(event);
    const next = (await deploy(event)).Data?.Digest;
    expect(next).not.toBe(before);
    await deploy(await wanted('with-next', 'FROM busybox:1\nRUN echo next > /next\n'));
    expect(await lastWorkerImage()).toMatch(new RegExp(`/cdk/worker@${next}$`));
    await lab.resource.onEvent({ ...event, ...begun, RequestType: 'Delete', BuildId: '' });
    await deploy(await wanted('with-before', 'FROM busybox:1\nRUN echo before > /before\n'));
    expect([await lastWorkerImage(), workers()]).toEqual([expect.stringMatching(`/cdk/worker@${before}$`), 4]);
  }, 120_000);

  test('reads a secret of the template, which is in no layer, no log and no record', async () => {
    const dockerfile =
      'FROM busybox:1\nRUN --mount=type=secret,id=token cat /run/secrets/token && wc -c < /run/secrets/token > /length\n' +
      'RUN --mount=type=secret,id=token grep -q sesame /run/secrets/token && exit 9\n';
    const event = await wanted('with-secret', dockerfile);
    const Secrets = { token: 'arn:token' };
    const failed = deploy({ ...event, ResourceProperties: { ...event.ResourceProperties, Secrets } });
    const said = await failed.then(
      () => 'done',
      (error: unknown) => String(error),
    );
    // It was read: the second RUN ends as told when the value is there.
    expect(said).toMatch(/Dockerfile:3: .*exit code 9.* \(BUILD_RUN_FAILED\)/);
    expect(said).toContain('\n| ***');
    expect(said).not.toContain('open-sesame');
    expect(JSON.stringify(await lab.builds.list())).not.toContain('open-sesame');
  }, 120_000);
});
