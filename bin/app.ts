/**
 * The CDK app: Wharf as three stacks, so that what is stateful, what costs by the hour and what changes with every
 * release can be deployed apart. Synthesis needs no credentials, no context look-up and no Docker.
 */
import { App, Stack, Tags, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { ContainerCluster, idleSentence, ImageStore, Wharf, WHOLE_PLATFORM } from '../lib/constructs/index.js';

const app = new App();
Validations.of(app).addPlugins(new AwsSolutionsChecks(app));

const storage = new Stack(app, 'WharfStorage', { description: 'Wharf: images and records' });
const store = new ImageStore(storage, 'ImageStore');

const capacityStack = new Stack(app, 'WharfCapacity', { description: 'Wharf: EC2 capacity for containers' });
const capacity = new ContainerCluster(capacityStack, 'ContainerCluster');

const platform = new Stack(app, 'WharfPlatform', { description: 'Wharf: builder, control plane and HTTP API' });
new Wharf(platform, 'Wharf', { store, capacity });

Tags.of(app).add('application', 'wharf');
app.synth();
process.stderr.write(`Wharf: ${idleSentence(WHOLE_PLATFORM)}; see docs/aws/cost.md\n`);
