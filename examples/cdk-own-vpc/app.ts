/** The platform in a network that is there already: its public subnets, and an alarm on what needs somebody. */
import { App, Stack } from 'aws-cdk-lib';
import { Vpc } from 'aws-cdk-lib/aws-ec2';
import { ContainerCluster, Wharf } from '../../lib/constructs/index.js';

const app = new App();
const stack = new Stack(app, 'Platform');

const vpc = Vpc.fromVpcAttributes(stack, 'Vpc', {
  vpcId: 'vpc-0123456789abcdef0',
  availabilityZones: ['eu-central-1a', 'eu-central-1b'],
  publicSubnetIds: ['subnet-0a', 'subnet-0b'],
});
const capacity = new ContainerCluster(stack, 'Capacity', { vpc });
const wharf = new Wharf(stack, 'Wharf', { capacity });

wharf.builder.metricDeadLetters().createAlarm(stack, 'BuildsNeedALook', { threshold: 1, evaluationPeriods: 1 });

app.synth();
