/**
 * What makes the images of a stack's templates: the image-resource function behind CDK's provider framework, which asks
 * it until an image is there. One for a stack and a builder, in the stack of the images, so that a builder in another
 * stack needs to know nothing of them.
 */
import { Duration, Stack } from 'aws-cdk-lib';
import type { Metric, MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import type { IRepository } from 'aws-cdk-lib/aws-ecr';
import type { ILogGroup } from 'aws-cdk-lib/aws-logs';
import type { Asset } from 'aws-cdk-lib/aws-s3-assets';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { Provider } from 'aws-cdk-lib/custom-resources';
import { Construct } from 'constructs';
import { type CfnOverrides, overrideCfn } from './cfn-overrides.js';
import { PULL_ACTIONS, PUSH_ACTIONS } from './ecr-actions.js';
import type { IImageBuilder } from './image-builder.js';
import { waitingProvider } from './waiting-provider.js';
import { WharfFunction } from './wharf-function.js';

export interface ImageProviderProps {
  readonly builder: IImageBuilder;
  /** What the function writes. @default - a new log group, kept for a month, gone with the stack */
  readonly logGroup?: ILogGroup;
  /** What CDK's framework around it writes. @default - a new log group, kept for a month, gone with the stack */
  readonly frameworkLogs?: ILogGroup;
  /** For `function`. @default - none */
  readonly cfnOverrides?: CfnOverrides;
}

export class ImageProvider extends Construct {
  /** The provider of the scope's stack for this builder, made when it is first asked for. */
  static ofStack(scope: Construct, builder: IImageBuilder): ImageProvider {
    const stack = Stack.of(scope);
    const id = `WharfImages${builder.node.addr.slice(-8)}`;
    const found = stack.node.tryFindChild(id);
    return found instanceof ImageProvider ? found : new ImageProvider(stack, id, { builder });
  }

  readonly builder: IImageBuilder;
  readonly function: WharfFunction;
  readonly provider: Provider;
  /** What CDK's framework around it writes. */
  readonly frameworkLogs: ILogGroup;

  constructor(scope: Construct, id: string, props: ImageProviderProps) {
    super(scope, id);
    this.builder = props.builder;
    const { store, queue } = props.builder;
    this.function = new WharfFunction(this, 'ImageResource', {
      entry: 'image-resource',
      ...(props.logGroup === undefined ? {} : { logGroup: props.logGroup }),
      // It copies contexts in and images out.
      timeout: Duration.minutes(10),
      environment: {
        WHARF_TABLE: store.table.tableName,
        WHARF_BUCKET: store.bucket.bucketName,
        WHARF_SEALING_KEY_ARN: store.sealingKey.secretArn,
        WHARF_BUILD_QUEUE_URL: queue.queueUrl,
      },
    });
    props.builder.grantBuild(this.function.role);
    this.function.allow(['ecr:GetAuthorizationToken'], ['*']);
    const { provider, logGroup } = waitingProvider(this, this.function, {
      logGroup: props.frameworkLogs,
      queryInterval: Duration.seconds(5),
    });
    this.provider = provider;
    this.frameworkLogs = logGroup;
    overrideCfn(this, { function: this.function.function }, props.cfnOverrides);
  }

  /** Lets the function read contexts: all of them, because a roll-back wants that of the deployment before. */
  allowContexts({ bucket }: Asset): void {
    this.function.allow(['s3:GetObject'], [bucket.arnForObjects('*.tar')]);
  }

  /** Lets the function hand a secret to builds. */
  allowSecret(secret: ISecret): void {
    secret.grantRead(this.function.role);
  }

  /** Lets the function copy images to this repository, and take them away from it. */
  allowRepository(repository: IRepository, options: { readonly deletes: boolean }): void {
    const deletes = options.deletes ? ['ecr:BatchDeleteImage'] : [];
    this.function.allow([...PULL_ACTIONS, ...PUSH_ACTIONS, ...deletes], [repository.repositoryArn]);
  }

  /** Calls of the function that failed, each of which fails a deployment or is asked again. */
  metricErrors(options?: MetricOptions): Metric {
    return this.function.metricErrors(options);
  }
}
