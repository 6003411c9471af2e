/**
 * Several accounts: images are built in one and run in another. The account of the builds lets the other pull; what
 * runs there names the image by its digest, which the pipeline hands over as a context value.
 */
import { App, CfnOutput, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { Vpc } from 'aws-cdk-lib/aws-ec2';
import { Repository } from 'aws-cdk-lib/aws-ecr';
import {
  Cluster,
  ContainerImage,
  CpuArchitecture,
  FargateService,
  FargateTaskDefinition,
  LogDrivers,
} from 'aws-cdk-lib/aws-ecs';
import { AccountPrincipal } from 'aws-cdk-lib/aws-iam';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import { DockerfileImage } from 'wharf';

const BUILDS = { account: '111111111111', region: 'eu-central-1' };
const PRODUCTION = { account: '222222222222', region: 'eu-central-1' };
const app = new App();

const builds = new Stack(app, 'Builds', { env: BUILDS });
const repository = new Repository(builds, 'Greeting', {
  repositoryName: 'greeting',
  imageScanOnPush: true,
  removalPolicy: RemovalPolicy.RETAIN,
});
repository.grantPull(new AccountPrincipal(PRODUCTION.account));
const image = new DockerfileImage(builds, 'Image', { directory: `${import.meta.dirname}/app`, repository });
new CfnOutput(builds, 'Digest', { value: image.digest });

const production = new Stack(app, 'Production', { env: PRODUCTION });
const digest: string = app.node.tryGetContext('digest') ?? `sha256:${'0'.repeat(64)}`;
const task = new FargateTaskDefinition(production, 'Task', {
  runtimePlatform: { cpuArchitecture: CpuArchitecture.ARM64 },
});
task.addContainer('greeting', {
  image: ContainerImage.fromEcrRepository(
    Repository.fromRepositoryArn(
      production,
      'Greeting',
      `arn:aws:ecr:${BUILDS.region}:${BUILDS.account}:repository/greeting`,
    ),
    digest,
  ),
  logging: LogDrivers.awsLogs({ streamPrefix: 'greeting', logRetention: RetentionDays.ONE_MONTH }),
});
const vpc = Vpc.fromVpcAttributes(production, 'Vpc', {
  vpcId: 'vpc-0123456789abcdef0',
  availabilityZones: ['eu-central-1a', 'eu-central-1b'],
  publicSubnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'],
});
new FargateService(production, 'Service', {
  cluster: new Cluster(production, 'Cluster', { vpc }),
  taskDefinition: task,
  assignPublicIp: true,
});

app.synth();
