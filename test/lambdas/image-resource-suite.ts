/** The image-resource function from its bundle: an image that a template wants, from asset to ECR. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { writeTar } from '../../lib/layers/index.js';
import { s3Client } from '../../lib/store/aws/bucket-s3.js';
import { membersOf } from '../build/fixture.js';
import { LambdaFunction } from '../fakes/lambda/function.js';
import { fakeCredentials } from '../fakes/s3/index.js';
import { Wire } from '../protocol/registry/wire.js';
import type { Cloud } from './cloud.js';
import { writeBundle } from './write-bundle.js';

const FILES = { Dockerfile: 'FROM scratch\nCOPY app /app\n', app: 'an app' };

export function imageResourceSuite(cloud: () => Cloud): void {
  describe('the image-resource function', () => {
    let code: string;
    let fn: LambdaFunction;
    beforeAll(async () => {
      code = await mkdtemp(join(tmpdir(), 'wharf-image-resource-'));
      // Its user is not ours.
      await chmod(code, 0o755);
      await writeBundle('image-resource', code);
      fn = new LambdaFunction({ ...cloud().fn('builder').settings, name: 'ImageResource', code });
      const chunks: Uint8Array[] = [];
      for await (const chunk of writeTar(membersOf(FILES))) chunks.push(chunk);
      const endpoint = cloud().services.endpoints.s3;
      const s3 = s3Client({ endpoint, region: 'eu-central-1', credentials: fakeCredentials, forcePathStyle: true });
      await s3.send(new CreateBucketCommand({ Bucket: 'assets' }));
      await s3.send(new PutObjectCommand({ Bucket: 'assets', Key: 'abc.tar', Body: Buffer.concat(chunks) }));
      s3.destroy();
    });
    afterAll(async () => {
      await fn.close();
      await rm(code, { recursive: true, force: true });
    });

    test('begins a build, waits for it, and names the image in ECR', async () => {
      cloud().ecr.repositories.add('theirs');
      const event = {
        RequestType: 'Create',
        RequestId: 'r-1',
        ResourceProperties: {
          ...{ ContextBucket: 'assets', ContextKey: 'abc.tar', Dockerfile: 'Dockerfile' },
          ...{ Platform: 'linux/arm64', Repository: 'theirs' },
        },
      };
      const begun = await fn.invoke<{ PhysicalResourceId: string; BuildId: string }>(event);
      expect(begun.PhysicalResourceId).toMatch(/^theirs:[0-9a-f]{40}$/);
      expect(await fn.invoke({ ...event, ...begun })).toEqual({ IsComplete: false });
      for (const message of await cloud().takeBuildEvents()) await cloud().fn('builder').invoke(message);
      const done = await fn.invoke<{ IsComplete: boolean; Data: { ImageUri: string; Digest: string } }>({
        ...event,
        ...begun,
      });
      const { registry } = cloud().ecr;
      expect(done).toMatchObject({
        IsComplete: true,
        Data: { ImageUri: `${registry.host}/theirs@${done.Data.Digest}` },
      });
      const wire = new Wire(registry);
      expect((await wire.send('GET', `/v2/theirs/manifests/${done.Data.Digest}`)).status).toBe(200);
      // The same inputs, as at the next deployment: nothing is built.
      const again = await fn.invoke<{ BuildId: string }>({ ...event, RequestId: 'r-2' });
      expect([again.BuildId, await cloud().takeBuildEvents()]).toEqual(['', []]);
    });

    test('says what a template got wrong', async () => {
      const event = { RequestType: 'Create', RequestId: 'r-3', ResourceProperties: { ContextKey: 'abc.tar' } };
      await expect(fn.invoke(event)).rejects.toThrow(/property Repository of the image is not a text/);
    });
  });
}
