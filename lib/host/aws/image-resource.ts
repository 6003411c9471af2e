/**
 * The images that CloudFormation templates want (construct DockerfileImage): a context among the assets is built, and
 * the image copied to an ECR repository. Told by the provider framework: `onEvent` begins, `isComplete` is asked until
 * it is done. The same inputs are built once: what is in the registry under their hash is the image, whatever became of
 * the step cache since.
 */
import { BatchDeleteImageCommand, type ECRClient } from '@aws-sdk/client-ecr';
import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { type BuildService, eachOpenBuild } from '../../build/index.js';
import { AppError } from '../../errors/index.js';
import type { Digest } from '../../oci/index.js';
import type { Registry } from '../../registry/index.js';
import { awsErrorName, awsFailure } from '../../store/aws/aws-failure.js';
import type { ByteSource, ContentStore, Logger, RecordStore } from '../../store/index.js';
import { failureText } from './build-failure.js';
import { type ImageEvent, imageOfPhysicalId, type WantedImage, wantedImage } from './image-request.js';
import type { EcrMirror } from './mirror.js';

export interface ImageResourceDeps {
  readonly content: ContentStore;
  readonly records: RecordStore;
  readonly registry: Registry;
  readonly builds: BuildService;
  readonly mirror: EcrMirror;
  readonly ecr: ECRClient;
  /** For the assets. */
  readonly s3: S3Client;
  /** The value of a secret, by its ARN. */
  readonly readSecret: (arn: string) => Promise<string>;
  readonly logger: Logger;
}

export interface BegunImage {
  readonly PhysicalResourceId: string;
  readonly BuildId: string;
}

export interface ImageProgress {
  readonly IsComplete: boolean;
  readonly Data?: { readonly ImageUri: string; readonly Digest: string };
}

export class ImageResource {
  constructor(private readonly deps: ImageResourceDeps) {}

  /** @throws AppError IMAGE_RESOURCE_INVALID, CONTEXT_UNREADABLE, SECRET_EMPTY, BUILD_SECRET_…, those of the stores */
  async onEvent(event: ImageEvent): Promise<BegunImage> {
    if (event.RequestType === 'Delete') {
      const physicalId = event.PhysicalResourceId ?? '';
      await this.remove(physicalId, event.ResourceProperties['DeleteReplaced'] === 'true');
      return { PhysicalResourceId: physicalId, BuildId: '' };
    }
    const wanted = wantedImage(event.ResourceProperties);
    const begun = { PhysicalResourceId: wanted.physicalId, BuildId: '' };
    if ((await this.built(wanted)) !== undefined) return begun;
    const { digest } = await this.deps.content.put(await this.openContext(wanted));
    const { repository, tag } = wanted.source;
    const request = { ...wanted.build, context: digest, tags: [`${repository}:${tag}`] };
    // CloudFormation may say the same thing twice.
    const build = await this.deps.builds.submit(request, {
      idempotencyKey: `cdk/${event.RequestId}`,
      secrets: await this.secretsOf(wanted),
    });
    this.deps.logger.info('an image for a template is built', { build: build.id, repository: wanted.repository });
    return { ...begun, BuildId: build.id };
  }

  /** @throws Error with the text for CloudFormation when the build failed */
  async isComplete(event: ImageEvent): Promise<ImageProgress> {
    if (event.RequestType === 'Delete') return { IsComplete: true };
    const wanted = wantedImage(event.ResourceProperties);
    const digest = await this.built(wanted);
    if (digest !== undefined) return this.copied(wanted, digest);
    const build = await this.deps.builds.get(event.BuildId ?? '');
    if (build?.status === 'queued' || build?.status === 'running') return { IsComplete: false };
    if (build === undefined || build.status === 'succeeded') {
      throw new Error(`the image of build ${event.BuildId} is gone from the store: deploy again`);
    }
    throw new Error(await failureText(this.deps.builds, build));
  }

  private async secretsOf({ secrets }: WantedImage): Promise<ReadonlyMap<string, Uint8Array>> {
    const values = new Map<string, Uint8Array>();
    for (const [id, arn] of Object.entries(secrets)) values.set(id, Buffer.from(await this.deps.readSecret(arn)));
    return values;
  }

  private async built({ source }: Pick<WantedImage, 'source'>): Promise<Digest | undefined> {
    return (await this.deps.registry.manifest(source.repository, { tag: source.tag }))?.digest;
  }

  private async copied({ repository, source }: WantedImage, digest: Digest): Promise<ImageProgress> {
    try {
      const uri = await this.deps.mirror.copyTo(repository, source.repository, digest);
      return { IsComplete: true, Data: { ImageUri: uri, Digest: digest } };
    } catch (error) {
      if (!(error instanceof AppError) || !error.retryable) throw error;
      // Asked again within seconds; what was sent stays sent.
      this.deps.logger.warn('an image is not in ECR yet', { repository, digest, error });
      return { IsComplete: false };
    }
  }

  private async openContext({ bucket, key }: WantedImage): Promise<ByteSource> {
    try {
      const { Body: body } = await this.deps.s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
      if (body !== undefined) return body as unknown as ByteSource;
    } catch (error) {
      throw awsFailure('S3', error);
    }
    throw new AppError('CONTEXT_UNREADABLE', `asset ${key} has no content`, {
      kind: 'not-found',
      hint: 'deploy again',
    });
  }

  /** The image is not wanted any more. It goes from ECR only when asked for, and no other inputs gave the same one. */
  private async remove(physicalId: string, fromEcr: boolean): Promise<void> {
    const image = imageOfPhysicalId(physicalId);
    if (image === undefined) return;
    const { repository, tag } = image.source;
    // Of a deployment that was given up while it waited.
    await this.cancel(`${repository}:${tag}`);
    const digest = await this.built(image);
    if (digest === undefined) return;
    const tags = (await this.deps.registry.tags(repository)) ?? [];
    const isShared = tags.some((other) => other.digest === digest && other.tag !== tag);
    if (fromEcr && !isShared) await this.deleteFromEcr(image.repository, digest);
    await this.deps.registry.deleteTag(repository, tag);
  }

  private async cancel(tag: string): Promise<void> {
    const { builds, logger } = this.deps;
    await eachOpenBuild(this.deps, async ({ value: { build } }) => {
      if (!build.request.tags.includes(tag)) return;
      await builds.cancel(build.id);
      logger.info('the build of an image that no template wants any more is cancelled', { build: build.id });
    });
  }

  private async deleteFromEcr(repositoryName: string, imageDigest: Digest): Promise<void> {
    try {
      await this.deps.ecr.send(new BatchDeleteImageCommand({ repositoryName, imageIds: [{ imageDigest }] }));
    } catch (error) {
      if (awsErrorName(error) !== 'RepositoryNotFoundException') throw awsFailure('ECR', error);
    }
  }
}
