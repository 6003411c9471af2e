/**
 * A folder with a Dockerfile as an image, built in the cloud while the stack is deployed: no Docker where `cdk deploy`
 * runs. The context is an asset; what it holds decides the image, so that an unchanged folder is no new deployment.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import {
  Annotations,
  AssetHashType,
  CustomResource,
  RemovalPolicy,
  Stack,
  Stage,
  Token,
  Validations,
} from 'aws-cdk-lib';
import { type IRepository, Repository, RepositoryEncryption, TagMutability } from 'aws-cdk-lib/aws-ecr';
import type { ContainerImage } from 'aws-cdk-lib/aws-ecs';
import type { DockerImageCode } from 'aws-cdk-lib/aws-lambda';
import type { IGrantable } from 'aws-cdk-lib/aws-iam';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import { Asset } from 'aws-cdk-lib/aws-s3-assets';
import { Construct } from 'constructs';
import { openContextFolder } from '../layers/context/context-folder-fs.js';
import { writeContextTar } from '../layers/context/context-tar-fs.js';
import { type CfnOverrides, overrideCfn } from './cfn-overrides.js';
import { checkDockerfile } from './dockerfile-check.js';
import {
  type DeployedImage,
  DockerfileContainerImage,
  DockerfileImageCode,
  type DockerfileImageCodeOptions,
} from './dockerfile-image-code.js';
import { type IImageBuilder, ImageBuilder } from './image-builder.js';
import { ImageProvider } from './image-provider.js';
import { checkKnown, checkPlatform, refusedProp } from './refused-prop.js';

export interface DockerfileImageProps {
  /** The folder that is the context, relative to where the app runs. */
  readonly directory: string;
  /** Path of the Dockerfile inside it. @default Dockerfile */
  readonly file?: string;
  /** Patterns as in .dockerignore, which is honoured too, of what is no part of the context. @default - the cdk.out folder */
  readonly exclude?: string[];
  /** The stage to build. @default - the last one */
  readonly target?: string;
  /** Values for ARG. They are in the template, and in the image's history: nothing secret, for which `secrets` is. @default - none */
  readonly buildArgs?: { readonly [name: string]: string };
  /** What `RUN --mount=type=secret,id=…` reads, by id. Another value alone builds nothing. @default - none */
  readonly secrets?: { readonly [id: string]: ISecret };
  /** `linux/arm64` or `linux/amd64`. @default - the builder's, which is linux/arm64 unless it says otherwise */
  readonly platform?: string;
  /** @default - one builder for all images of the stack, made by the first of them */
  readonly builder?: IImageBuilder;
  /** What waits for the image; of the same builder. @default - one for the stack and the builder, made by the first image */
  readonly provider?: ImageProvider;
  /** Where the image is put. @default - a new one: scanned on push, tags immutable */
  readonly repository?: IRepository;
  /** Of the repository that is made here, with its images. @default RemovalPolicy.DESTROY: the folder gives them again */
  readonly removalPolicy?: RemovalPolicy;
  /** Whether an image goes as soon as the deployment that replaced it is complete. @default false */
  readonly deleteReplaced?: boolean;
  /** For `repository`. @default - none */
  readonly cfnOverrides?: CfnOverrides;
}

/**
 * @example
 * const image = new DockerfileImage(this, 'Image', { directory: 'app' });
 * taskDefinition.addContainer('app', { image: image.asContainerImage() });
 */
export class DockerfileImage extends Construct implements DeployedImage {
  readonly platform: string;
  readonly repository: IRepository;
  readonly builder: IImageBuilder;
  readonly provider: ImageProvider;
  /** What Wharf's own registry keeps the image as. */
  readonly sourceRepository: string;
  /** The context. */
  readonly asset: Asset;
  readonly resource: CustomResource;
  readonly inputsHash: string;
  /** `sha256:…`, known when it is built. */
  readonly digest: string;
  /** `<repository>@<digest>`, known when it is built: who uses it waits for the build. */
  readonly imageUri: string;

  /** @throws Error, or AppError, for what would fail at deployment: a folder, a Dockerfile, a stage that is not there */
  constructor(scope: Construct, id: string, props: DockerfileImageProps) {
    super(scope, id);
    const builder = props.builder ?? ImageBuilder.ofStack(this);
    this.builder = builder;
    this.platform = props.platform ?? builder.platform;
    checkPlatform(this.node.path, this.platform);
    const { directory, file, target } = props;
    checkKnown(this.node.path, { directory, file, target });
    const context = openContextFolder(process.cwd(), props.directory, {
      dockerfile: join(props.directory, props.file ?? 'Dockerfile'),
      exclude: [...this.ownOutput(props.directory), ...(props.exclude ?? [])],
    });
    const warnings = checkDockerfile(join(props.directory, context.dockerfile), props.target);
    for (const { id: rule, text } of warnings) Annotations.of(this).addWarningV2(rule, text);
    this.asset = this.pack(context.look());
    this.repository = this.repositoryFor(props);
    // As lib/host/aws/image-request.ts names it.
    this.sourceRepository = `cdk/${this.repository.repositoryName}`;
    overrideCfn(this, { repository: this.repository }, props.cfnOverrides);

    this.provider = props.provider ?? ImageProvider.ofStack(this, builder);
    if (this.provider.builder !== builder) {
      throw refusedProp(
        this.node.path,
        `the provider ${this.provider.node.path} has another builder than the image: give both the same`,
      );
    }
    const images = this.provider;
    images.allowContexts(this.asset);
    const secrets = Object.entries(props.secrets ?? {});
    for (const [, secret] of secrets) images.allowSecret(secret);
    images.allowRepository(this.repository, { deletes: props.deleteReplaced === true });
    const inputs = {
      Dockerfile: context.dockerfile,
      Platform: this.platform,
      ...(props.target === undefined ? {} : { Target: props.target }),
      ...(props.buildArgs === undefined ? {} : { Arguments: props.buildArgs }),
    };
    this.inputsHash = createHash('sha256')
      .update(JSON.stringify([this.asset.assetHash, Stack.of(this).resolve(inputs)]))
      .digest('hex');
    this.resource = new CustomResource(this, 'Resource', {
      serviceToken: images.provider.serviceToken,
      resourceType: 'Custom::WharfDockerfileImage',
      properties: {
        ContextBucket: this.asset.s3BucketName,
        ContextKey: this.asset.s3ObjectKey,
        Repository: this.repository.repositoryName,
        ...inputs,
        ...(secrets.length === 0
          ? {}
          : { Secrets: Object.fromEntries(secrets.map(([id, { secretArn }]) => [id, secretArn])) }),
        DeleteReplaced: String(props.deleteReplaced === true),
      },
    });
    this.imageUri = this.resource.getAttString('ImageUri');
    this.digest = this.resource.getAttString('Digest');
  }

  /** For containers of ECS task definitions and of Batch jobs. */
  asContainerImage(): ContainerImage {
    return new DockerfileContainerImage(this);
  }

  /** For `DockerImageFunction`. */
  asDockerImageCode(options: DockerfileImageCodeOptions = {}): DockerImageCode {
    return new DockerfileImageCode(this, options);
  }

  /** Lets the grantee pull the image. */
  grantPull(grantee: IGrantable): void {
    this.repository.grantPull(grantee);
  }

  private pack(members: Parameters<typeof writeContextTar>[0]): Asset {
    const work = mkdtempSync(join(tmpdir(), 'wharf-context-'));
    try {
      const file = join(work, 'context.tar');
      const assetHash = writeContextTar(members, file);
      const displayName = `${this.node.id} context`;
      return new Asset(this, 'Context', { path: file, assetHash, assetHashType: AssetHashType.CUSTOM, displayName });
    } finally {
      rmSync(work, { recursive: true });
    }
  }

  /** What the synthesis itself writes, when it writes into the context. */
  private ownOutput(directory: string): string[] {
    const outdir = Stage.of(this.node.root as Construct)?.outdir ?? 'cdk.out';
    const inside = relative(resolve(directory), resolve(outdir));
    return inside === '' || inside.startsWith('..') ? ['cdk.out'] : ['cdk.out', inside];
  }

  /** Images go to the registry of the stack's own account and region, whatever else has a repository of that name. */
  private checkPlace({ env, node }: IRepository): void {
    const { account, region } = Stack.of(this);
    const differs = (theirs: string, ours: string): boolean =>
      ![theirs, ours].some((value) => Token.isUnresolved(value)) && theirs !== ours;
    if (!differs(env.account, account) && !differs(env.region, region)) return;
    throw refusedProp(
      this.node.path,
      `the repository ${node.path} is in ${env.account} ${env.region}, and the image is put into ` +
        `one of the stack's own, ${account} ${region}: give one of this account and region, and let others pull from it`,
    );
  }

  private repositoryFor(props: DockerfileImageProps): IRepository {
    const removalPolicy = props.removalPolicy ?? RemovalPolicy.DESTROY;
    if (props.repository !== undefined) {
      if (props.deleteReplaced === true || props.removalPolicy !== undefined) {
        throw refusedProp(
          this.node.path,
          `deleteReplaced and removalPolicy are for the repository that is made here, not for a given one`,
        );
      }
      this.checkPlace(props.repository);
      return props.repository;
    }
    const repository = new Repository(this, 'Repository', {
      encryption: RepositoryEncryption.AES_256,
      imageScanOnPush: true,
      imageTagMutability: TagMutability.IMMUTABLE,
      removalPolicy,
      emptyOnDelete: removalPolicy === RemovalPolicy.DESTROY,
    });
    Validations.of(repository).acknowledge({
      id: 'AwsSolutions-ECR1',
      reason: 'Nobody outside the account is let in; Lambda may pull for functions of this account.',
    });
    return repository as IRepository;
  }
}
