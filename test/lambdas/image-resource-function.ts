/** The image-resource function from its bundle, with the settings of the builder, and contexts where it looks for them. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { writeTar } from '../../lib/layers/index.js';
import { s3Client } from '../../lib/store/aws/bucket-s3.js';
import { type Files, membersOf } from '../build/fixture.js';
import { LambdaFunction } from '../fakes/lambda/function.js';
import { fakeCredentials } from '../fakes/s3/index.js';
import type { Cloud } from './cloud.js';
import { writeBundle } from './write-bundle.js';

export interface ImageResourceFunction {
  readonly fn: LambdaFunction;
  /** What CloudFormation says of an image of these files that is to lie in this repository. */
  wanted(repository: string, files: Files): Promise<ImageEvent>;
  close(): Promise<void>;
}

export interface ImageEvent {
  readonly RequestType: 'Create';
  readonly RequestId: string;
  readonly ResourceProperties: Readonly<Record<string, string>>;
}

const Bucket = 'assets';

export async function openImageResourceFunction(cloud: Cloud): Promise<ImageResourceFunction> {
  const code = await mkdtemp(join(tmpdir(), 'wharf-image-resource-'));
  // Its user is not ours.
  await chmod(code, 0o755);
  await writeBundle('image-resource', code);
  const fn = new LambdaFunction({ ...cloud.fn('builder').settings, name: 'ImageResource', code });
  const endpoint = cloud.services.endpoints.s3;
  const s3 = s3Client({ endpoint, region: 'eu-central-1', credentials: fakeCredentials, forcePathStyle: true });
  await s3.send(new CreateBucketCommand({ Bucket }));
  let requests = 0;
  return {
    fn,
    async wanted(repository, files) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of writeTar(membersOf(files))) chunks.push(chunk);
      const Key = `${repository}.tar`;
      await s3.send(new PutObjectCommand({ Bucket, Key, Body: Buffer.concat(chunks) }));
      cloud.ecr.repositories.add(repository);
      return {
        RequestType: 'Create',
        RequestId: `${repository}-${(requests += 1)}`,
        ResourceProperties: {
          ...{ ContextBucket: Bucket, ContextKey: Key, Dockerfile: 'Dockerfile' },
          ...{ Platform: 'linux/arm64', Repository: repository },
        },
      };
    },
    async close() {
      await fn.close();
      s3.destroy();
      await rm(code, { recursive: true, force: true });
    },
  };
}
