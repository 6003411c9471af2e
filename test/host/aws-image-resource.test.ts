/** Images that a CloudFormation template wants: built once for the same inputs, copied to ECR, taken away as asked. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type ImageEvent, wantedImage } from '../../lib/host/aws/image-request.js';
import { digestOf } from '../../lib/oci/index.js';
import { Wire } from '../protocol/registry/wire.js';
import { type ImageResourceLab, openImageResourceLab } from './image-resource-lab.js';

let lab: ImageResourceLab;
beforeAll(async () => {
  lab = await openImageResourceLab();
});
afterAll(() => lab.close());

const DOCKERFILE = 'FROM scratch\nARG GREETING=hello\nCOPY . /app\nLABEL greeting=$GREETING\nCMD ["/app/run"]\n';
let requests = 0;

function wanted(key: string, repository: string, properties: Record<string, unknown> = {}): ImageEvent {
  lab.ecr.repositories.add(repository);
  return {
    RequestType: 'Create',
    RequestId: `request-${requests++}`,
    ResourceProperties: {
      ContextBucket: 'assets',
      ContextKey: key,
      Repository: repository,
      Dockerfile: 'Dockerfile',
      Platform: 'linux/arm64',
      ...properties,
    },
  };
}

function update(event: ImageEvent, physicalId: string, properties: Record<string, unknown> = {}): ImageEvent {
  const ResourceProperties = { ...event.ResourceProperties, ...properties };
  const RequestId = `request-${requests++}`;
  return { RequestType: 'Update', RequestId, PhysicalResourceId: physicalId, ResourceProperties };
}

function remove(event: ImageEvent, physicalId: string): ImageEvent {
  return { ...update(event, physicalId), RequestType: 'Delete' };
}

async function inEcr(repository: string, reference: string): Promise<number> {
  return (await new Wire(lab.ecr.registry).send('GET', `/v2/${repository}/manifests/${reference}`)).status;
}

describe('an image of a template', () => {
  test('is built from the asset and lies in ECR under its digest', async () => {
    const key = await lab.asset({ Dockerfile: DOCKERFILE, run: 'go' });
    const { begun, progress } = await lab.run(wanted(key, 'team-app'));
    const { ImageUri = '', Digest = '' } = progress.Data ?? {};
    expect(ImageUri).toBe(`${lab.ecr.registry.host}/team-app@${Digest}`);
    expect(begun.PhysicalResourceId).toMatch(/^team-app:[0-9a-f]{40}$/);
    const manifest = await new Wire(lab.ecr.registry).send('GET', `/v2/team-app/manifests/${Digest}`);
    expect(digestOf(manifest.bytes)).toBe(Digest);
  });

  test('is waited for while nobody has built it', async () => {
    const key = await lab.asset({ Dockerfile: DOCKERFILE, run: 'wait' });
    const event = wanted(key, 'waiting');
    const begun = await lab.resource.onEvent(event);
    expect(await lab.resource.isComplete({ ...event, ...begun })).toEqual({ IsComplete: false });
    await lab.build();
    expect(await lab.resource.isComplete({ ...event, ...begun })).toMatchObject({ IsComplete: true });
  });

  test('is the same image for the same context, without another build', async () => {
    const files = { Dockerfile: DOCKERFILE, run: 'same' };
    const event = wanted(await lab.asset(files), 'same');
    const first = await lab.run(event);
    const again = update(event, first.begun.PhysicalResourceId, { ContextKey: await lab.asset(files) });
    const begun = await lab.resource.onEvent(again);
    expect(begun).toEqual({ PhysicalResourceId: first.begun.PhysicalResourceId, BuildId: '' });
    expect(await lab.build()).toBe(0);
    expect((await lab.resource.isComplete({ ...again, ...begun })).Data).toEqual(first.progress.Data);
  });

  test('is begun once when CloudFormation says the same thing twice', async () => {
    const event = wanted(await lab.asset({ Dockerfile: DOCKERFILE, run: 'twice' }), 'twice');
    const first = await lab.resource.onEvent(event);
    expect(await lab.resource.onEvent(event)).toEqual(first);
    await lab.build();
    const all = await lab.builds.list();
    expect(all.builds.filter(({ request }) => request.tags[0]?.startsWith('cdk/twice:'))).toHaveLength(1);
  });

  test('is another resource when the context, the file, the target, the platform or an argument is another', () => {
    const { ResourceProperties } = wanted('assets/1.tar', 'inputs');
    const idWith = (properties: object): string => wantedImage({ ...ResourceProperties, ...properties }).physicalId;
    const ids = [
      {},
      { ContextKey: 'assets/2.tar' },
      { Dockerfile: 'Other' },
      { Target: 'test' },
      { Platform: 'linux/amd64' },
      { Arguments: { GREETING: 'hi' } },
      { Arguments: { GREETING: 'hi', MORE: 'x' } },
    ].map(idWith);
    expect(new Set(ids).size).toBe(ids.length);
    expect(idWith({ ContextBucket: 'elsewhere', ContextKey: 'moved/1.tar' })).toBe(ids[0]);
    expect(idWith({ Arguments: { MORE: 'x', GREETING: 'hi' } })).toBe(ids.at(-1));
  });

  test('fails with the sentence of the build, its line, and what to do', async () => {
    const key = await lab.asset({ Dockerfile: 'FROM scratch\nCOPY absent /\n' });
    await expect(lab.run(wanted(key, 'failing'))).rejects.toThrow(/^Dockerfile:2: .*absent.* \([A-Z_]+\)\n/);
    const run = await lab.asset({ Dockerfile: 'FROM scratch\nCOPY Dockerfile /\nRUN ["/x"]\n' });
    await expect(lab.run(wanted(run, 'failing'))).rejects.toThrow(/^Dockerfile:3: .*\(BUILD_RUN_UNAVAILABLE\)/);
  });

  test('that failed does not stop the one before it from coming back', async () => {
    const good = wanted(await lab.asset({ Dockerfile: DOCKERFILE, run: 'good' }), 'rollback');
    const first = await lab.run(good);
    const bad = await lab.asset({ Dockerfile: 'FROM scratch\nCOPY absent /\n' });
    const failing = update(good, first.begun.PhysicalResourceId, { ContextKey: bad });
    await expect(lab.run(failing)).rejects.toThrow(/absent/);
    const back = await lab.run(update(good, first.begun.PhysicalResourceId));
    expect(back.progress.Data).toEqual(first.progress.Data);
  });

  test('that comes back after it was replaced and taken away is made of the cache, and is the same', async () => {
    const first = wanted(await lab.asset({ Dockerfile: DOCKERFILE, run: 'first' }), 'returns');
    const { begun, progress } = await lab.run(first);
    const other = await lab.asset({ Dockerfile: DOCKERFILE, run: 'second' });
    await lab.run(update(first, begun.PhysicalResourceId, { ContextKey: other }));
    await lab.run(remove(first, begun.PhysicalResourceId));
    const back = await lab.run(update(first, begun.PhysicalResourceId));
    const build = await lab.builds.get(back.begun.BuildId);
    expect(build?.status).toBe('succeeded');
    expect(back.progress.Data).toEqual(progress.Data);
  });

  test('says which property CloudFormation left out', async () => {
    const event = wanted('x.tar', 'invalid', { Platform: '' });
    await expect(lab.resource.onEvent(event)).rejects.toMatchObject({ code: 'IMAGE_RESOURCE_INVALID' });
    await expect(lab.resource.onEvent(event)).rejects.toThrow(/Platform/);
  });

  test('says that the asset cannot be read', async () => {
    await expect(lab.resource.onEvent(wanted('gone.tar', 'gone'))).rejects.toMatchObject({ code: 'STORE_REFUSED' });
  });
});

describe('an image that is not wanted any more', () => {
  test('stays in ECR unless it is asked to go', async () => {
    const event = wanted(await lab.asset({ Dockerfile: DOCKERFILE, run: 'stays' }), 'stays');
    const { begun, progress } = await lab.run(event);
    await lab.run(remove(event, begun.PhysicalResourceId));
    expect(await inEcr('stays', progress.Data?.Digest ?? '')).toBe(200);
    expect(await lab.registry.tags('cdk/stays')).toEqual([]);
  });

  test('goes from ECR when asked, except where other inputs gave the same image', async () => {
    const files = { Dockerfile: DOCKERFILE, Other: DOCKERFILE, run: 'goes' };
    const event = wanted(await lab.asset(files), 'goes', { DeleteReplaced: 'true' });
    const first = await lab.run(event);
    const other = update(event, first.begun.PhysicalResourceId, { Dockerfile: 'Other' });
    const second = await lab.run(other);
    const digest = first.progress.Data?.Digest ?? '';
    expect(second.progress.Data?.Digest).toBe(digest);
    await lab.run(remove(event, first.begun.PhysicalResourceId));
    expect(await inEcr('goes', digest)).toBe(200);
    await lab.run(remove(other, second.begun.PhysicalResourceId));
    expect(await inEcr('goes', digest)).toBe(404);
  });

  test('may be gone already, with its repository too', async () => {
    const event = wanted(await lab.asset({ Dockerfile: DOCKERFILE, run: 'none' }), 'none', { DeleteReplaced: 'true' });
    const { begun } = await lab.run(event);
    lab.ecr.repositories.delete('none');
    const gone = remove(event, begun.PhysicalResourceId);
    expect((await lab.run(gone)).progress).toEqual({ IsComplete: true });
    expect((await lab.run(gone)).progress).toEqual({ IsComplete: true });
    expect((await lab.run(remove(event, 'not-ours'))).progress).toEqual({ IsComplete: true });
  });
});
