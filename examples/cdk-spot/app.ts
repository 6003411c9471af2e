/** The platform on Spot instances: one that stays, the rest where most capacity is spare, of five types. */
import { App, Stack } from 'aws-cdk-lib';
import { Capacity, ContainerCluster, Wharf } from 'wharf';

const app = new App();
const stack = new Stack(app, 'Cheap');

const capacity = new ContainerCluster(stack, 'Capacity', {
  clusterName: 'cheap',
  capacity: Capacity.mixed({ onDemandInstances: 1, maxInstances: 12 }),
});
new Wharf(stack, 'Wharf', { capacity });

app.synth();
