/** Services, their releases and deployments. */
import * as z from 'zod';
import { serviceNotFound } from '../../platform/index.js';
import type { ApiDeps } from '../api-deps.js';
import { route, type Route } from '../route.js';
import {
  clusterName,
  Deployed,
  Deployment,
  listOf,
  page,
  Placement,
  Release,
  RollbackRequest,
  Service,
  serviceName,
  ServiceSpec,
} from '../schemas/index.js';

export function serviceRoutes({ platform: { services, placements } }: ApiDeps): readonly Route[] {
  const tag = 'Services';
  const base = '/v1/clusters/{cluster}/services';
  const params = z.strictObject({ cluster: clusterName, service: serviceName });
  const query = z.strictObject(page);
  return [
    route('GET', base, {
      id: 'listServices',
      summary: 'Services of a cluster, sorted by name',
      tag,
      access: 'read',
      params: z.strictObject({ cluster: clusterName }),
      query,
      answers: [{ status: 200, description: 'A page of services', schema: listOf('services', Service) }],
      handler: async ({ params, query }) => {
        const { items, cursor } = await services.list(params.cluster, query);
        return { body: { services: items, cursor } };
      },
    }),
    route('PUT', `${base}/{service}`, {
      id: 'putService',
      summary: 'Makes a release of this spec and deploys it; the same spec again changes nothing',
      tag,
      access: 'deploy',
      params,
      body: ServiceSpec,
      answers: [
        { status: 200, description: 'Nothing changed', schema: Deployed },
        { status: 202, description: 'The new release and its deployment, under way', schema: Deployed },
      ],
      handler: async ({ params, body }) => {
        const deployed = await services.put(params.cluster, params.service, body);
        return { status: deployed.changed ? 202 : 200, body: deployed };
      },
    }),
    route('GET', `${base}/{service}`, {
      id: 'getService',
      summary: 'A service, its newest deployment and its counts',
      tag,
      access: 'read',
      params,
      answers: [{ status: 200, description: 'The service', schema: Service }],
      handler: async ({ params }) => {
        const service = await services.get(params.cluster, params.service);
        if (service !== undefined) return { body: service };
        throw serviceNotFound(params.cluster, params.service);
      },
    }),
    route('DELETE', `${base}/{service}`, {
      id: 'deleteService',
      summary: 'Stops all tasks of a service and deletes it',
      tag,
      access: 'deploy',
      params,
      answers: [{ status: 202, description: 'Its tasks are being stopped' }],
      handler: async ({ params }) => {
        await services.remove(params.cluster, params.service);
        return { status: 202 };
      },
    }),
    route('GET', `${base}/{service}/placement`, {
      id: 'getServicePlacement',
      summary: 'Why tasks of a service have no place: a row per instance, and the smallest fix',
      tag,
      access: 'read',
      params,
      answers: [
        {
          status: 200,
          description: 'What it waits for; null when it has all the room it wants',
          schema: z.object({ waiting: Placement.nullable() }),
        },
      ],
      handler: async ({ params }) => ({
        body: { waiting: (await placements.ofService(params.cluster, params.service)) ?? null },
      }),
    }),
    route('GET', `${base}/{service}/releases`, {
      id: 'listReleases',
      summary: 'Releases, newest first',
      tag,
      access: 'read',
      params,
      query,
      answers: [{ status: 200, description: 'A page of releases', schema: listOf('releases', Release) }],
      handler: async ({ params, query }) => {
        const { items, cursor } = await services.releases(params.cluster, params.service, query);
        return { body: { releases: items, cursor } };
      },
    }),
    route('GET', `${base}/{service}/deployments`, {
      id: 'listDeployments',
      summary: 'Deployments, newest first',
      tag,
      access: 'read',
      params,
      query,
      answers: [{ status: 200, description: 'A page of deployments', schema: listOf('deployments', Deployment) }],
      handler: async ({ params, query }) => {
        const { items, cursor } = await services.deployments(params.cluster, params.service, query);
        return { body: { deployments: items, cursor } };
      },
    }),
    route('POST', `${base}/{service}/rollback`, {
      id: 'rollbackService',
      summary: 'Deploys an earlier release again, as a new one',
      tag,
      access: 'deploy',
      params,
      body: RollbackRequest,
      answers: [{ status: 202, description: 'The new release and its deployment, under way', schema: Deployed }],
      handler: async ({ params, body, call }) => {
        const intent = call.idempotency.intentOf(call, 'rollbackService');
        const { cluster, service } = params;
        return { status: 202, body: await services.rollback(cluster, service, { to: body.release, intent }) };
      },
    }),
  ];
}
