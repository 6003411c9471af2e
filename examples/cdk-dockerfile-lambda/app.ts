/** A Lambda function whose code is a folder with a Dockerfile: built in the cloud while the stack is deployed. */
import { App, Stack } from 'aws-cdk-lib';
import { Architecture, DockerImageFunction } from 'aws-cdk-lib/aws-lambda';
import { DockerfileImage } from 'wharf';

const app = new App();
const stack = new Stack(app, 'Handler');

const image = new DockerfileImage(stack, 'Image', {
  directory: `${import.meta.dirname}/app`,
  buildArgs: { GREETING: 'hello' },
  deleteReplaced: true,
});

new DockerImageFunction(stack, 'Function', { architecture: Architecture.ARM_64, code: image.asDockerImageCode() });

app.synth();
