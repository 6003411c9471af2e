/** The service-resource function: services that CloudFormation templates want, asked of the platform's API. */
import { WharfClient } from '../lib/client/index.js';
import { readAwsConfig } from '../lib/host/aws/config.js';
import { inLogContext } from '../lib/host/aws/log-context.js';
import { openAwsLogger } from '../lib/host/aws/logger.js';
import { observed } from '../lib/host/aws/observed.js';
import { readSecret } from '../lib/host/aws/secret.js';
import {
  type BegunService,
  type ServiceEvent,
  type ServiceProgress,
  ServiceResource,
} from '../lib/host/aws/service-resource.js';
import { systemClock } from '../lib/store/system/clock-system.js';

const { region, apiUrl: url, deployTokenArn } = readAwsConfig(process.env, 'region', 'apiUrl', 'deployTokenArn');
const client = new WharfClient({ url, token: await readSecret(deployTokenArn, region) });
const clock = systemClock;
const services = new ServiceResource({
  client,
  clock,
  logger: openAwsLogger(clock),
});

/** One function for both handlers of the provider framework: what `onEvent` answered is in the later events. */
export const handler = observed({ clock }, (event: ServiceEvent): Promise<BegunService | ServiceProgress> =>
  inLogContext({ resource: event.PhysicalResourceId, deployment: event.DeploymentId }, () =>
    event.DeploymentId === undefined ? services.onEvent(event) : services.isComplete(event),
  ),
);
