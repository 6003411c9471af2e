/** The platform in a network that is there already, in its public subnets, with alarms that reach somebody. */
import { App, Stack } from 'aws-cdk-lib';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { Vpc } from 'aws-cdk-lib/aws-ec2';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { ContainerCluster, Monitoring, Wharf } from 'wharf';

const app = new App();
const stack = new Stack(app, 'Platform');

const vpc = Vpc.fromVpcAttributes(stack, 'Vpc', {
  vpcId: 'vpc-0123456789abcdef0',
  availabilityZones: ['eu-central-1a', 'eu-central-1b'],
  publicSubnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'],
});
const capacity = new ContainerCluster(stack, 'Capacity', { vpc });
const wharf = new Wharf(stack, 'Wharf', { capacity });

const onCall = new Topic(stack, 'OnCall', { enforceSSL: true });
new Monitoring(stack, 'Monitoring', { wharf, actions: [new SnsAction(onCall)] });

app.synth();
