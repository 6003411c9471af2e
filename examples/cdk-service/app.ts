/** A service in an app of its own, on a platform that another app deployed: all it needs to know is in two outputs. */
import { App, CfnOutput, Stack } from 'aws-cdk-lib';
import { Edge, Service, ServiceImage } from 'wharf';

const app = new App();
const stack = new Stack(app, 'Shop');

const edge = Edge.fromEdgeAttributes(stack, 'Platform', {
  url: 'https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com',
  deployTokenArn: 'arn:aws:secretsmanager:eu-central-1:111111111111:secret:DeployToken-AbCdEf',
});
const web = new Service(stack, 'Web', {
  edge,
  image: ServiceImage.fromRegistry('shop/web:1'),
  count: 2,
  ports: [{ container: 8080 }],
  env: { GREETING: 'hello' },
  health: { command: ['/healthy'], startPeriodSeconds: 10 },
  memoryMiB: 256,
});
new CfnOutput(stack, 'Release', { value: web.release });

app.synth();
