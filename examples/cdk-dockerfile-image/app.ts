/** An ECS service as CDK users write it, whose image is a folder: built in the cloud while the stack is deployed. */
import { App, Stack } from 'aws-cdk-lib';
import { Vpc } from 'aws-cdk-lib/aws-ec2';
import { Cluster, CpuArchitecture, FargateService, FargateTaskDefinition, LogDrivers } from 'aws-cdk-lib/aws-ecs';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import { DockerfileImage } from 'wharf';

const app = new App();
const stack = new Stack(app, 'Greeting');
const vpc = new Vpc(stack, 'Vpc', { natGateways: 0, maxAzs: 2 });

const image = new DockerfileImage(stack, 'Image', { directory: `${import.meta.dirname}/app` });

const task = new FargateTaskDefinition(stack, 'Task', {
  runtimePlatform: { cpuArchitecture: CpuArchitecture.ARM64 },
});
task.addContainer('greeting', {
  image: image.asContainerImage(),
  portMappings: [{ containerPort: 8080 }],
  logging: LogDrivers.awsLogs({ streamPrefix: 'greeting', logRetention: RetentionDays.ONE_MONTH }),
});
new FargateService(stack, 'Service', {
  cluster: new Cluster(stack, 'Cluster', { vpc }),
  taskDefinition: task,
  assignPublicIp: true,
});

app.synth();
