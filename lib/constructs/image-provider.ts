/**
 * What makes the images of a stack's templates: the image-resource function behind CDK's provider framework, which asks
 * it until an image is there. One for a stack and a builder, in the stack of the images, so that a builder in another
 * stack needs to know nothing of them.
 */
import { Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import type { IRepository } from 'aws-cdk-lib/aws-ecr';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Asset } from 'aws-cdk-lib/aws-s3-assets';
import { CfnStateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import { Provider } from 'aws-cdk-lib/custom-resources';
import { Construct } from 'constructs';
import { acknowledgeWildcards } from './acknowledge-wildcards.js';
import { PULL_ACTIONS, PUSH_ACTIONS } from './ecr-actions.js';
import type { IImageBuilder } from './image-builder.js';
import { WharfFunction } from './wharf-function.js';

export interface ImageProviderProps {
  readonly builder: IImageBuilder;
}

/** Below the hour after which CloudFormation gives up by itself, without a word. */
const LIMIT = Duration.minutes(55);

export class ImageProvider extends Construct {
  /** The provider of the scope's stack for this builder, made when it is first asked for. */
  static ofStack(scope: Construct, builder: IImageBuilder): ImageProvider {
    const stack = Stack.of(scope);
    const id = `WharfImages${builder.node.addr.slice(-8)}`;
    const found = stack.node.tryFindChild(id);
    return found instanceof ImageProvider ? found : new ImageProvider(stack, id, { builder });
  }

  readonly function: WharfFunction;
  readonly provider: Provider;
  readonly logGroup: LogGroup;

  constructor(scope: Construct, id: string, props: ImageProviderProps) {
    super(scope, id);
    const { store, queue } = props.builder;
    this.function = new WharfFunction(this, 'ImageResource', {
      entry: 'image-resource',
      memoryMiB: 1024,
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
    this.logGroup = new LogGroup(this, 'FrameworkLogs', {
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.provider = new Provider(this, 'Provider', {
      onEventHandler: this.function.function,
      isCompleteHandler: this.function.function,
      queryInterval: Duration.seconds(5),
      totalTimeout: LIMIT,
      logGroup: this.logGroup,
      frameworkOnEventRole: this.frameworkRole('OnEventRole'),
      frameworkCompleteAndTimeoutRole: this.frameworkRole('CompleteRole'),
    });
    this.acknowledgeFramework();
  }

  /** Lets the function read contexts: all of them, because a roll-back wants that of the deployment before. */
  allowContexts({ bucket }: Asset): void {
    this.function.allow(['s3:GetObject'], [bucket.arnForObjects('*.tar')]);
  }

  /** Lets the function copy images to this repository, and take them away from it. */
  allowRepository(repository: IRepository, options: { readonly deletes: boolean }): void {
    const deletes = options.deletes ? ['ecr:BatchDeleteImage'] : [];
    this.function.allow([...PULL_ACTIONS, ...PUSH_ACTIONS, ...deletes], [repository.repositoryArn]);
  }

  private frameworkRole(id: string): Role {
    const role = new Role(this, id, { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
    this.logGroup.grantWrite(role);
    acknowledgeWildcards(role, [
      { finding: /^Resource::.*Function.*:\*$/, reason: 'Versions of the one function it may call.' },
      { finding: /^Resource::.*FrameworkLogs.*:\*$/, reason: 'The log streams of its own log group.' },
    ]);
    return role;
  }

  private acknowledgeFramework(): void {
    const ofCdk = 'Made by the provider framework of CDK, which sets it for every custom resource.';
    Validations.of(this.provider).acknowledge({ id: 'AwsSolutions-L1', reason: ofCdk });
    const machine = this.provider.node.findAll().find((node) => node instanceof CfnStateMachine);
    const waits = 'It asks one question every five seconds; question and answer are in the log of the function.';
    for (const rule of ['AwsSolutions-SF1', 'AwsSolutions-SF2']) {
      if (machine !== undefined) Validations.of(machine).acknowledge({ id: rule, reason: waits });
    }
    const waiter = this.provider.node.tryFindChild('waiter-state-machine');
    if (waiter === undefined) return;
    acknowledgeWildcards(waiter, [{ finding: /^Resource::.*:\*$/, reason: 'Versions of the two functions it calls.' }]);
  }
}
