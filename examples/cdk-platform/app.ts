/** The whole platform in one stack, with room for eight larger instances and an alarm on builds that nothing settled. */
import { App, Stack } from 'aws-cdk-lib';
import { InstanceType } from 'aws-cdk-lib/aws-ec2';
import { ContainerCluster, Wharf } from 'wharf';

const app = new App();
const stack = new Stack(app, 'Team');

const capacity = new ContainerCluster(stack, 'Capacity', {
  clusterName: 'team',
  instanceType: new InstanceType('m7g.large'),
  maxInstances: 8,
});
const wharf = new Wharf(stack, 'Wharf', { capacity });

wharf.builder.metricDeadLetters().createAlarm(stack, 'BuildsNeedALook', { threshold: 1, evaluationPeriods: 1 });

app.synth();
