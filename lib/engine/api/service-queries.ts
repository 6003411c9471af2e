/** What clients ask about services: describe, list. */
import * as z from 'zod';
import { primaryOf } from '../services/deployments.js';
import { namespaceName } from '../services/service-connect.js';
import { cluster, maxResults, nextToken, strings, text } from './input.js';
import { operation, requireCluster, type Failure, type Operation } from './operation.js';
import { pageOf } from './page.js';
import { serviceView } from './service-view.js';

const describeServices = operation(
  z.object({ cluster, services: strings.min(1).max(10), include: z.array(z.enum(['TAGS'])).optional() }),
  async (api, input) => {
    const { state, arns } = api.context;
    const owner = await requireCluster(api, input.cluster);
    const services: object[] = [];
    const failures: Failure[] = [];
    for (const asked of input.services) {
      const name = arns.shortName('service', asked, owner.name);
      const service = await state.services.get(owner.name, name);
      if (service === undefined) failures.push({ arn: arns.service(owner.name, name), reason: 'MISSING' });
      else services.push(await serviceView(api.context, service, input.include?.includes('TAGS') === true));
    }
    return { services, failures };
  },
);

const listServices = operation(
  z.object({
    cluster,
    launchType: text.optional(),
    schedulingStrategy: z.enum(['REPLICA', 'DAEMON']).optional(),
    resourceManagementType: text.optional(),
    nextToken,
    maxResults: maxResults(),
  }),
  async (api, input) => {
    const owner = await requireCluster(api, input.cluster);
    const services = (await api.context.state.services.all(owner.name)).filter(
      (service) =>
        service.status !== 'INACTIVE' &&
        (input.launchType ?? 'EC2') === 'EC2' &&
        (input.schedulingStrategy === undefined || service.schedulingStrategy === input.schedulingStrategy),
    );
    const page = pageOf(services, (service) => service.name, input, 10);
    return { serviceArns: page.items.map((service) => service.arn), nextToken: page.nextToken };
  },
);

/** Of every cluster. A namespace that no service is in is an empty list: there is no Cloud Map that could know it. */
const listServicesByNamespace = operation(
  z.object({ namespace: text.min(1), nextToken, maxResults: maxResults() }),
  async ({ context: { state } }, input) => {
    const namespace = namespaceName(input.namespace);
    const clusters = (await state.clusters.all('')).filter(({ status }) => status === 'ACTIVE');
    const services = (await Promise.all(clusters.map(({ name }) => state.services.all(name)))).flat();
    const within = services
      .filter((service) => service.status !== 'INACTIVE' && primaryOf(service)?.serviceConnect?.namespace === namespace)
      .map(({ arn }) => arn)
      .sort();
    const page = pageOf(within, (arn) => arn, input, 10);
    return { serviceArns: page.items, nextToken: page.nextToken };
  },
);

export const serviceQueryOperations: Readonly<Record<string, Operation>> = {
  DescribeServices: describeServices,
  ListServices: listServices,
  ListServicesByNamespace: listServicesByNamespace,
};
