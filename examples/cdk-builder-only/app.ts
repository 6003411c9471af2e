/** Only the builder, with its store: a function of one's own submits builds, no HTTP API and no cluster is made. */
import { App, Stack } from 'aws-cdk-lib';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { ImageBuilder, ImageStore } from 'wharf';

const app = new App();
const stack = new Stack(app, 'Builds');

const store = new ImageStore(stack, 'Store');
const builder = new ImageBuilder(stack, 'Builder', { store, maxConcurrency: 4 });

const pipeline = new Role(stack, 'Pipeline', { assumedBy: new ServicePrincipal('codebuild.amazonaws.com') });
builder.grantBuild(pipeline);

app.synth();
