/** DockerfileImage in templates: what it makes, how it is taken, and what is refused before anything is deployed. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { RemovalPolicy, Size, Stack, Validations } from 'aws-cdk-lib';
import { Annotations, Match } from 'aws-cdk-lib/assertions';
import { EcsEc2ContainerDefinition, EcsFargateContainerDefinition, EcsJobDefinition } from 'aws-cdk-lib/aws-batch';
import { Repository } from 'aws-cdk-lib/aws-ecr';
import { type ContainerImage, CpuArchitecture, Ec2TaskDefinition, FargateTaskDefinition } from 'aws-cdk-lib/aws-ecs';
import { Architecture, DockerImageFunction } from 'aws-cdk-lib/aws-lambda';
import { type ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { DockerfileImage, type DockerfileImageProps, ImageBuilder, ImageStore } from '../../lib/constructs/index.js';
import { ofType, testStack } from './unbundled.js';

const IMAGE = 'Custom::WharfDockerfileImage';
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wharf-dockerfile-image-'));
  file('app/Dockerfile', 'FROM scratch AS base\nCOPY run /run\nFROM base AS last\nCMD ["/run"]\n');
  file('app/run', 'go');
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(path: string, text: string): void {
  mkdirSync(join(folder, path, '..'), { recursive: true });
  writeFileSync(join(folder, path), text);
}

function imageIn(stack: Stack, props: Partial<DockerfileImageProps> = {}, id = 'Image'): DockerfileImage {
  return new DockerfileImage(stack, id, { directory: join(folder, 'app'), ...props });
}

/** The properties by which CloudFormation tells whether there is anything to do. */
function wanted(props: Partial<DockerfileImageProps> = {}): Record<string, unknown> {
  const { stack, template } = testStack();
  imageIn(stack, props);
  const [image] = Object.values(ofType(template(), IMAGE));
  return image?.['Properties'] as Record<string, unknown>;
}

describe('DockerfileImage', () => {
  test('needs one line in a stack of its own, and brings its builder', () => {
    const { stack, template } = testStack({ nag: true });
    imageIn(stack, { target: 'last', buildArgs: { VERSION: '3' }, file: 'Dockerfile' });
    const made = template();
    made.resourceCountIs(IMAGE, 1);
    made.hasResourceProperties(IMAGE, {
      Dockerfile: 'Dockerfile',
      Platform: 'linux/arm64',
      Target: 'last',
      Arguments: { VERSION: '3' },
      ContextKey: Match.stringLikeRegexp('^[0-9a-f]{64}\\.tar$'),
      DeleteReplaced: 'false',
    });
    made.hasResourceProperties('AWS::Lambda::EventSourceMapping', { BatchSize: 1 });
    made.hasResource('AWS::ECR::Repository', {
      Properties: { ImageTagMutability: 'IMMUTABLE', EmptyOnDelete: true },
      DeletionPolicy: 'Delete',
    });
  });

  test('shares builder and provider among the images of a stack', () => {
    const { stack, template } = testStack();
    imageIn(stack);
    imageIn(stack, { target: 'base' }, 'Second');
    const made = template();
    made.resourceCountIs(IMAGE, 2);
    made.resourceCountIs('AWS::Lambda::EventSourceMapping', 1);
    made.resourceCountIs('AWS::StepFunctions::StateMachine', 1);
    const tokens = Object.values(ofType(made, IMAGE)).map(({ Properties }) =>
      JSON.stringify((Properties as { ServiceToken: unknown }).ServiceToken),
    );
    expect(new Set(tokens).size).toBe(1);
  });

  test('is the same to CloudFormation when the folder is, whatever its dates say', () => {
    const first = wanted();
    utimesSync(join(folder, 'app/run'), 1, 1);
    expect(wanted()).toEqual(first);
    file('app/run', 'changed');
    expect(wanted()['ContextKey']).not.toBe(first['ContextKey']);
    file('app/run', 'go');
    expect(wanted()).toEqual(first);
  });

  test('leaves out what .dockerignore and exclude name', () => {
    const first = wanted({ exclude: ['*.log'] });
    file('app/debug.log', 'noise');
    expect(wanted({ exclude: ['*.log'] })).toEqual(first);
    expect(wanted()['ContextKey']).not.toBe(first['ContextKey']);
    rmSync(join(folder, 'app/debug.log'));
  });

  test('hands secrets on by name, and their values stay where they are', () => {
    const { stack, template } = testStack({ nag: true });
    const token = new Secret(stack, 'Token') as ISecret;
    Validations.of(token).acknowledge({ id: 'AwsSolutions-SMG4', reason: 'of the test' });
    const plain = wanted();
    imageIn(stack, { secrets: { npm: token } });
    const made = template();
    const reference = { Ref: Match.stringLikeRegexp('^Token') };
    made.hasResourceProperties(IMAGE, { Secrets: { npm: reference } });
    made.hasResourceProperties('AWS::IAM::Policy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({
            Action: ['secretsmanager:GetSecretValue', 'secretsmanager:DescribeSecret'],
            Resource: reference,
          }),
        ]),
      },
    });
    expect(plain).not.toHaveProperty('Secrets');
  });

  test('uploads the context as a tar, and nothing is left beside it', () => {
    const before = readdirSync(tmpdir()).filter((name) => name.startsWith('wharf-context-'));
    const { app, stack } = testStack();
    const image = imageIn(stack);
    const assembly = app.synth();
    expect(existsSync(join(assembly.directory, image.asset.assetPath))).toBe(true);
    expect(image.asset.assetPath).toMatch(/^asset\.[0-9a-f]{64}\.tar$/);
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith('wharf-context-'))).toEqual(before);
  });

  test('takes a builder of another stack without naming the image there', () => {
    const { app, stack, template } = testStack({ name: 'App', nag: true });
    const shared = new Stack(app, 'Shared');
    const store = new ImageStore(shared, 'Store');
    const builder = new ImageBuilder(shared, 'Builder', { store, platform: 'linux/amd64' });
    expect(imageIn(stack, { builder }).platform).toBe('linux/amd64');
    template().resourceCountIs('AWS::Lambda::EventSourceMapping', 0);
    expect(JSON.stringify(template(shared).toJSON())).not.toMatch(/Repository|DockerfileImage/);
  });

  test('takes a builder by its attributes', () => {
    const { stack, template } = testStack({ nag: true });
    const store = ImageStore.fromImageStoreAttributes(stack, 'Store', {
      bucketName: 'blobs',
      tableName: 'records',
      sealingKeyArn: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:key-AbCdEf',
      adminTokenArn: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:token-AbCdEf',
    });
    const queueArn = 'arn:aws:sqs:eu-central-1:123456789012:builds';
    imageIn(stack, { builder: ImageBuilder.fromImageBuilderAttributes(stack, 'Builder', { store, queueArn }) });
    template().hasResourceProperties('AWS::Lambda::Function', {
      Environment: { Variables: Match.objectLike({ WHARF_BUCKET: 'blobs', WHARF_TABLE: 'records' }) },
    });
    template().resourceCountIs('AWS::S3::Bucket', 0);
  });
});

describe('an image made by DockerfileImage', () => {
  const uri = { 'Fn::GetAtt': [Match.stringLikeRegexp('^Image'), 'ImageUri'] };

  test('is a container image of a task definition, whose execution role may pull it', () => {
    const { stack, template } = testStack();
    const task = new FargateTaskDefinition(stack, 'Task', {
      runtimePlatform: { cpuArchitecture: CpuArchitecture.ARM64 },
    });
    task.addContainer('app', { image: imageIn(stack).asContainerImage() });
    const made = template();
    made.hasResourceProperties('AWS::ECS::TaskDefinition', {
      ContainerDefinitions: [Match.objectLike({ Image: uri })],
    });
    const policies = JSON.stringify(ofType(made, 'AWS::IAM::Policy'));
    expect(policies).toMatch(/TaskExecutionRole/);
  });

  test('is the code of a Lambda function, which Lambda may pull', () => {
    const { stack, template } = testStack();
    new DockerImageFunction(stack, 'Function', {
      architecture: Architecture.ARM_64,
      code: imageIn(stack).asDockerImageCode({ cmd: ['app.handler'] }),
    });
    const made = template();
    made.hasResourceProperties('AWS::Lambda::Function', {
      PackageType: 'Image',
      Code: { ImageUri: uri },
      ImageConfig: { Command: ['app.handler'] },
    });
    made.hasResourceProperties('AWS::ECR::Repository', {
      RepositoryPolicyText: {
        Statement: [Match.objectLike({ Principal: { Service: 'lambda.amazonaws.com' } })],
      },
    });
  });

  test('makes another version of a Lambda function when it may be another image, and only then', () => {
    const version = (props: Partial<DockerfileImageProps> = {}): string => {
      const { stack, template } = testStack();
      const code = imageIn(stack, props).asDockerImageCode();
      const fn = new DockerImageFunction(stack, 'Function', { architecture: Architecture.ARM_64, code });
      fn.addAlias('live');
      return Object.keys(ofType(template(), 'AWS::Lambda::Version')).join();
    };
    const first = version();
    expect(first).toMatch(/^FunctionCurrentVersion/);
    expect(version()).toBe(first);
    file('app/run', 'changed');
    const changed = version();
    file('app/run', 'go');
    const others = [changed, version({ target: 'base' }), version({ buildArgs: { VERSION: '2' } })];
    expect(new Set([first, ...others]).size).toBe(4);
    expect(version()).toBe(first);
  });

  const jobOf = (stack: Stack, Container: typeof EcsEc2ContainerDefinition | typeof EcsFargateContainerDefinition) => ({
    from: (image: ContainerImage, more: { fargateCpuArchitecture?: CpuArchitecture } = {}) =>
      new EcsJobDefinition(stack, 'Job', {
        container: new Container(stack, 'Container', { image, cpu: 1, memory: Size.mebibytes(512), ...more }),
      }),
  });

  test.each([
    ['on instances', EcsEc2ContainerDefinition, {}],
    ['on Fargate', EcsFargateContainerDefinition, { fargateCpuArchitecture: CpuArchitecture.ARM64 }],
  ])('is the image of a Batch job %s, whose execution role may pull it', (_, Container, more) => {
    const { stack, template } = testStack();
    jobOf(stack, Container).from(imageIn(stack).asContainerImage(), more);
    const made = template();
    made.hasResourceProperties('AWS::Batch::JobDefinition', { ContainerProperties: { Image: uri } });
    expect(JSON.stringify(ofType(made, 'AWS::IAM::Policy'))).toMatch(/ecr:BatchGetImage.*ContainerExecutionRole/);
  });

  test('is refused by a Batch job on Fargate that runs on another processor, as it does unless told', () => {
    const { stack, template } = testStack();
    const made = (): unknown => {
      jobOf(stack, EcsFargateContainerDefinition).from(imageIn(stack).asContainerImage());
      return template();
    };
    expect(made).toThrow(/runs on X86_64, and the image is for linux\/arm64: set fargateCpuArchitecture, or platform/);
  });

  test('is refused where another processor runs it, with both ways out', () => {
    const { stack } = testStack();
    const image = imageIn(stack);
    const fargate = new FargateTaskDefinition(stack, 'Fargate');
    expect(() => fargate.addContainer('app', { image: image.asContainerImage() })).toThrow(
      /runs on X86_64, and the image is for linux\/arm64: set runtimePlatform.cpuArchitecture, or platform: 'linux\/amd64'/,
    );
    expect(() => new DockerImageFunction(stack, 'Function', { code: image.asDockerImageCode() })).toThrow(
      /runs on x86_64, and the image is for linux\/arm64/,
    );
    const ec2 = new Ec2TaskDefinition(stack, 'Ec2');
    expect(() => ec2.addContainer('app', { image: image.asContainerImage(), memoryLimitMiB: 64 })).not.toThrow();
  });
});

describe('what cannot be built', () => {
  test.each<[string, Partial<DockerfileImageProps>, RegExp]>([
    ['a folder that is not there', { directory: '/absent' }, /\/absent is not a folder/],
    ['a Dockerfile that is not there', { file: 'Other' }, /there is no .*Other/],
    ['a stage that is not there', { target: 'lost' }, /lost/],
    ['a platform that nothing runs', { platform: 'windows/amd64' }, /linux\/arm64 or linux\/amd64 is wanted/],
  ])('%s is refused at synthesis', (_, props, message) => {
    expect(() => imageIn(testStack().stack, props)).toThrow(message);
  });

  test('a Dockerfile that does not parse is refused with its line', () => {
    file('broken/Dockerfile', 'FROM scratch\nCOPIE a b\n');
    expect(() => imageIn(testStack().stack, { directory: join(folder, 'broken') })).toThrow(/COPIE/);
  });

  test('RUN is warned of, when the target needs it', () => {
    file('run/Dockerfile', 'FROM scratch AS tool\nRUN make\nFROM scratch\nCOPY Dockerfile /\n');
    const { stack } = testStack();
    imageIn(stack, { directory: join(folder, 'run') });
    Annotations.fromStack(stack).hasNoWarning('*', Match.stringLikeRegexp('RUN'));
    imageIn(stack, { directory: join(folder, 'run'), target: 'tool' }, 'Tool');
    Annotations.fromStack(stack).hasWarning('*', Match.stringLikeRegexp('Dockerfile:2: RUN'));
  });
});

describe('what becomes of images', () => {
  test('they go with their repository unless it is retained', () => {
    const { stack, template } = testStack();
    imageIn(stack, { removalPolicy: RemovalPolicy.RETAIN });
    template().hasResource('AWS::ECR::Repository', {
      DeletionPolicy: 'Retain',
      Properties: { EmptyOnDelete: false },
    });
  });

  test('only an image that may be deleted can be deleted', () => {
    const deletes = (props: Partial<DockerfileImageProps>): boolean => {
      const { stack, template } = testStack();
      imageIn(stack, props);
      return JSON.stringify(ofType(template(), 'AWS::IAM::Policy')).includes('ecr:BatchDeleteImage');
    };
    expect([deletes({}), deletes({ deleteReplaced: true })]).toEqual([false, true]);
  });

  test.each([
    ['another account', 'arn:aws:ecr:eu-central-1:222222222222:repository/team/app'],
    ['another region', 'arn:aws:ecr:eu-west-1:111111111111:repository/team/app'],
  ])('a repository of %s is refused: the image would be put beside it', (_, arn) => {
    const { stack } = testStack({ env: { account: '111111111111', region: 'eu-central-1' } });
    const repository = Repository.fromRepositoryArn(stack, 'Given', arn);
    expect(() => imageIn(stack, { repository })).toThrow(
      /Test\/Image: the repository Test\/Given is in .*one of the stack's own, 111111111111 eu-central-1/,
    );
  });

  test('a given repository is left alone', () => {
    const { stack, template } = testStack();
    const repository = Repository.fromRepositoryName(stack, 'Given', 'team/app');
    imageIn(stack, { repository });
    template().resourceCountIs('AWS::ECR::Repository', 0);
    expect(() => imageIn(stack, { repository, deleteReplaced: true }, 'Deletes')).toThrow(/not for a given one/);
  });
});
