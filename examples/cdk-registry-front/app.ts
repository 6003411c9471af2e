/** The platform, and beside it a registry that takes `docker push` of any size: TLS under a name of one's own. */
import { App, CfnOutput, Stack } from 'aws-cdk-lib';
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager';
import { HostedZone } from 'aws-cdk-lib/aws-route53';
import { RegistryFront, Wharf } from 'wharf';

const app = new App();
const stack = new Stack(app, 'Images');

const { store, builder, capacity } = new Wharf(stack, 'Wharf');
const hostedZone = HostedZone.fromHostedZoneAttributes(stack, 'Zone', {
  hostedZoneId: 'Z0123456789ABCDEFGHIJ',
  zoneName: 'example.org',
});
const certificate = Certificate.fromCertificateArn(
  stack,
  'Certificate',
  'arn:aws:acm:eu-central-1:111111111111:certificate/01234567-89ab-cdef-0123-456789abcdef',
);
const domainName = 'registry.example.org';
const front = new RegistryFront(stack, 'Registry', {
  store,
  builder,
  capacity,
  certificate,
  domainName,
  hostedZone,
  count: 2,
});
new CfnOutput(stack, 'RegistryUrl', { value: front.url });

app.synth();
