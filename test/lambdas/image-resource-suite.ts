/** The image-resource function from its bundle: an image that a template wants, from asset to ECR; that of workers too. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Wire } from '../protocol/registry/wire.js';
import { clientOf, submit } from './builds.js';
import type { Cloud } from './cloud.js';
import { type ImageEvent, type ImageResourceFunction, openImageResourceFunction } from './image-resource-function.js';

interface Begun {
  readonly PhysicalResourceId: string;
  readonly BuildId: string;
}
interface Progress {
  readonly IsComplete: boolean;
  readonly Data?: { readonly ImageUri: string; readonly Digest: string };
}

export function imageResourceSuite(cloud: () => Cloud): void {
  let resource: ImageResourceFunction;
  beforeAll(async () => {
    resource = await openImageResourceFunction(cloud());
  });
  afterAll(() => resource.close());

  describe('the image-resource function', () => {
    test('begins a build, waits for it, and names the image in ECR', async () => {
      const { fn } = resource;
      const event = await resource.wanted('theirs', { Dockerfile: 'FROM scratch\nCOPY app /app\n', app: 'an app' });
      const begun = await fn.invoke<Begun>(event);
      expect(begun.PhysicalResourceId).toMatch(/^theirs:[0-9a-f]{40}$/);
      expect(await fn.invoke({ ...event, ...begun })).toEqual({ IsComplete: false });
      for (const message of await cloud().takeBuildEvents()) await cloud().fn('builder').invoke(message);
      const done = await fn.invoke<Progress>({ ...event, ...begun });
      const { registry } = cloud().ecr;
      const digest = done.Data?.Digest ?? '';
      expect(done).toMatchObject({ IsComplete: true, Data: { ImageUri: `${registry.host}/theirs@${digest}` } });
      const wire = new Wire(registry);
      expect((await wire.send('GET', `/v2/theirs/manifests/${digest}`)).status).toBe(200);
      // The same inputs, as at the next deployment: nothing is built.
      const again = await fn.invoke<Begun>({ ...event, RequestId: 'another deployment' });
      expect([again.BuildId, await cloud().takeBuildEvents()]).toEqual(['', []]);
    });

    test('says what a template got wrong', async () => {
      const event = { RequestType: 'Create', RequestId: 'r-3', ResourceProperties: { ContextKey: 'abc.tar' } };
      await expect(resource.fn.invoke(event)).rejects.toThrow(/property Repository of the image is not a text/);
    });
  });

  describe('a builder function that takes its workers from the deployment', () => {
    const worker = 'a builder of these sources';
    const files = { Dockerfile: 'FROM scratch\nCOPY worker.mjs /\nCMD ["/worker.mjs"]\n', 'worker.mjs': worker };

    /** As the framework of custom resources does. */
    async function deployed(event: ImageEvent, builder: ReturnType<Cloud['fn']>): Promise<Begun & Progress> {
      const begun = await resource.fn.invoke<Begun>(event);
      for (const message of await cloud().takeBuildEvents()) await builder.invoke(message);
      return { ...begun, ...(await resource.fn.invoke<Progress>({ ...event, ...begun })) };
    }

    test('runs a RUN in the image that was deployed; the same sources are the same image and no other worker', async () => {
      const builder = cloud().another('builder', { WHARF_WORKER_IMAGE: 'cdk/worker:*' });
      try {
        const first = await deployed(await resource.wanted('worker', files), builder);
        expect(first).toMatchObject({ IsComplete: true, Data: { Digest: expect.stringMatching(/^sha256:/) } });
        const again = await deployed(await resource.wanted('worker', files), builder);
        expect(again).toMatchObject({ BuildId: '', IsComplete: true, Data: first.Data });
        expect(again.PhysicalResourceId).toBe(first.PhysicalResourceId);

        const { id, event } = await submit(cloud(), { Dockerfile: 'FROM scratch\nRUN ["/make"]\n' }, 'team/handed:1');
        expect(await builder.invoke(event)).toEqual({ batchItemFailures: [] });
        const { ecs } = cloud();
        const run = ecs.calls.findLast(({ operation }) => operation === 'RunTask');
        expect(run?.input).toMatchObject({ startedBy: id });
        const { taskDefinition } = (await ecs.ask('DescribeTaskDefinition', {
          taskDefinition: run?.input['taskDefinition'],
        })) as { taskDefinition: { containerDefinitions: readonly { image: string }[] } };
        expect(taskDefinition.containerDefinitions[0]?.image).toMatch(
          new RegExp(`/wharf/cdk/worker@${first.Data?.Digest}$`),
        );
        await clientOf(cloud()).builds.cancel(id);
      } finally {
        await builder.close();
      }
    });
  });
}
