/**
 * The CDK app: Wharf as three stacks, so that what is stateful, what costs by the hour and what changes with every
 * release can be deployed apart. Synthesis needs no credentials, no context look-up and no Docker. Workers of builds have
 * their image made with the platform, and a fourth stack has the registry front, when it is asked for:
 *   npx cdk deploy --all -c workerBaseImage=build-worker-base:1
 *   npx cdk deploy --all -c registryDomain=registry.example.org -c registryCertificate=arn:aws:acm:…
 *   npx cdk deploy --all -c registryPlainHttp=true
 * For a try, images and records may go with their stack: -c storageGoes=true
 */
import { App, CfnOutput, RemovalPolicy, Stack, Tags, Validations } from 'aws-cdk-lib';
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager';
import { AwsSolutionsChecks } from 'cdk-nag';
import {
  ContainerCluster,
  idleSentence,
  ImageStore,
  RegistryFront,
  Wharf,
  WHOLE_PLATFORM,
} from '../lib/constructs/index.js';

const app = new App();
Validations.of(app).addPlugins(new AwsSolutionsChecks(app));

const storage = new Stack(app, 'WharfStorage', { description: 'Wharf: images and records' });
const removalPolicy = app.node.tryGetContext('storageGoes') === 'true' ? RemovalPolicy.DESTROY : RemovalPolicy.RETAIN;
const store = new ImageStore(storage, 'ImageStore', { removalPolicy });

const capacityStack = new Stack(app, 'WharfCapacity', { description: 'Wharf: EC2 capacity for containers' });
const capacity = new ContainerCluster(capacityStack, 'ContainerCluster');

const platform = new Stack(app, 'WharfPlatform', { description: 'Wharf: builder, control plane and HTTP API' });
const context = (name: string): string | undefined => app.node.tryGetContext(name) as string | undefined;
const workerBaseImage = context('workerBaseImage');
const { builder } = new Wharf(platform, 'Wharf', {
  ...{ store, capacity },
  ...(workerBaseImage === undefined ? {} : { workerBaseImage }),
});

const [domainName, certificateArn] = [context('registryDomain'), context('registryCertificate')];
const plainHttp = context('registryPlainHttp') === 'true';
const hasRegistryFront = domainName !== undefined || certificateArn !== undefined || plainHttp;
if (hasRegistryFront) {
  const registry = new Stack(app, 'WharfRegistry', { description: 'Wharf: registry for pushes of any size' });
  const front = new RegistryFront(registry, 'RegistryFront', {
    ...{ store, builder, capacity, plainHttp },
    ...(domainName === undefined ? {} : { domainName }),
    ...(certificateArn === undefined
      ? {}
      : { certificate: Certificate.fromCertificateArn(registry, 'Certificate', certificateArn) }),
  });
  new CfnOutput(registry, 'Url', { value: front.url, description: 'Where the registry takes pushes of any size' });
}

Tags.of(app).add('application', 'wharf');
app.synth();
process.stderr.write(
  `Wharf: ${idleSentence({ ...WHOLE_PLATFORM, hasRegistryFront, minInstances: hasRegistryFront ? 1 : 0 })}; see docs/aws/cost.md\n`,
);
