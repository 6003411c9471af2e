/**
 * An image made by `DockerfileImage` in the forms that CDK's constructs take: a container image for task definitions of
 * ECS and jobs of Batch, and code for Lambda functions. Each checks at synthesis that its taker runs on the processor
 * that the image is for: otherwise that shows as `exec format error` after the deployment.
 */
import { type CfnResource, Token } from 'aws-cdk-lib';
import { EcsFargateContainerDefinition } from 'aws-cdk-lib/aws-batch';
import {
  type ContainerDefinition,
  ContainerImage,
  type ContainerImageConfig,
  CpuArchitecture,
  type TaskDefinition,
} from 'aws-cdk-lib/aws-ecs';
import { type Architecture, Code, type CodeConfig, DockerImageCode, Function } from 'aws-cdk-lib/aws-lambda';
import { type IGrantable, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { Construct, IConstruct } from 'constructs';
import { AppError } from '../errors/index.js';

/** What the forms need to know of an image. */
export interface DeployedImage {
  /** `<repository>@<digest>`, known when it is built. */
  readonly imageUri: string;
  /** As `linux/arm64`. */
  readonly platform: string;
  /** Another one when the image may be another one; known at synthesis. */
  readonly inputsHash: string;
  grantPull(grantee: IGrantable): void;
}

export class DockerfileContainerImage extends ContainerImage {
  constructor(private readonly image: DeployedImage) {
    super();
  }

  /** @throws Error when the task definition says that it runs on another processor */
  bind(scope: Construct, containerDefinition: ContainerDefinition): ContainerImageConfig {
    const { taskDefinition } = containerDefinition;
    // Jobs of Batch hand over the role only.
    if ('runtimePlatform' in taskDefinition) {
      checkArchitecture(scope, this.image, statedArchitecture(taskDefinition), 'runtimePlatform.cpuArchitecture');
    } else if (scope instanceof EcsFargateContainerDefinition) {
      this.checkJob(scope);
    }
    this.image.grantPull(taskDefinition.obtainExecutionRole());
    return { imageName: this.image.imageUri };
  }

  /** Which is not finished yet, and does not know its processor. */
  private checkJob(job: EcsFargateContainerDefinition): void {
    const problem = (): string | undefined => {
      const stated = architectureName(job.fargateCpuArchitecture ?? CpuArchitecture.X86_64);
      return architectureProblem(job, this.image, stated, 'fargateCpuArchitecture');
    };
    job.node.addValidation({ validate: () => [problem() ?? []].flat() });
  }
}

/** Undefined where the instance decides. */
function statedArchitecture(task: TaskDefinition): string | undefined {
  const { cpuArchitecture } = task.runtimePlatform ?? {};
  if (cpuArchitecture === undefined) return task.isFargateCompatible ? 'X86_64' : undefined;
  return architectureName(cpuArchitecture);
}

function architectureName(architecture: CpuArchitecture): string | undefined {
  if (architecture === CpuArchitecture.ARM64) return 'ARM64';
  return architecture === CpuArchitecture.X86_64 ? 'X86_64' : undefined;
}

/** What Lambda starts instead of what the image says. */
export interface DockerfileImageCodeOptions {
  /** @default - CMD of the image */
  readonly cmd?: string[];
  /** @default - ENTRYPOINT of the image */
  readonly entrypoint?: string[];
  /** @default - WORKDIR of the image */
  readonly workingDirectory?: string;
}

export class DockerfileImageCode extends DockerImageCode {
  constructor(
    private readonly image: DeployedImage,
    private readonly options: DockerfileImageCodeOptions,
  ) {
    super();
  }

  _bind(architecture?: Architecture): Code {
    return new ImageCode(this.image, this.options, architecture?.name ?? 'x86_64');
  }
}

class ImageCode extends Code {
  readonly isInline = false;

  constructor(
    private readonly image: DeployedImage,
    private readonly options: DockerfileImageCodeOptions,
    private readonly architecture: string,
  ) {
    super();
  }

  override bind(scope: Construct): CodeConfig {
    checkArchitecture(scope, this.image, this.architecture, 'architecture');
    this.image.grantPull(new ServicePrincipal('lambda.amazonaws.com'));
    return { image: { imageUri: this.image.imageUri, ...this.options } };
  }

  /** `currentVersion` of a function would stay the old one: what its hash is made of does not tell one image from another. */
  override bindToResource(resource: CfnResource): void {
    const { scope } = resource.node;
    if (scope instanceof Function) scope.invalidateVersionBasedOn(this.image.inputsHash);
  }
}

function checkArchitecture(...about: Parameters<typeof architectureProblem>): void {
  const problem = architectureProblem(...about);
  if (problem !== undefined) throw new AppError('PROP_REFUSED', problem);
}

function architectureProblem(
  { node }: IConstruct,
  image: DeployedImage,
  stated: string | undefined,
  prop: string,
): string | undefined {
  if (stated === undefined || [stated, image.platform].some((value) => Token.isUnresolved(value))) return undefined;
  const wanted = /^(x86_64|amd64)$/i.test(stated) ? 'linux/amd64' : 'linux/arm64';
  if (image.platform === wanted) return undefined;
  return (
    `${node.path} runs on ${stated}, and the image is for ${image.platform}: ` +
    `set ${prop}, or platform: '${wanted}' of the DockerfileImage`
  );
}
