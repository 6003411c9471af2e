/** Clusters and their instances. */
import * as z from 'zod';
import { AppError } from '../../errors/index.js';
import type { ApiDeps } from '../api-deps.js';
import { route, type Route } from '../route.js';
import { Cluster, clusterName, ClusterSpec, flag, Instance, isSet, listOf, page, Placement } from '../schemas/index.js';

export function clusterRoutes({ platform: { clusters, placements } }: ApiDeps): readonly Route[] {
  const tag = 'Clusters';
  const params = z.strictObject({ cluster: clusterName });
  return [
    route('GET', '/v1/clusters', {
      id: 'listClusters',
      summary: 'Clusters, sorted by name',
      tag,
      access: 'read',
      query: z.strictObject(page),
      answers: [{ status: 200, description: 'A page of clusters', schema: listOf('clusters', Cluster) }],
      handler: async ({ query }) => {
        const { items, cursor } = await clusters.list(query);
        return { body: { clusters: items, cursor } };
      },
    }),
    route('PUT', '/v1/clusters/{cluster}', {
      id: 'putCluster',
      summary: 'Makes a cluster, or brings it to this number of instances',
      tag,
      access: 'admin',
      params,
      body: ClusterSpec,
      answers: [
        { status: 200, description: 'The cluster as it is now', schema: Cluster },
        { status: 201, description: 'The cluster that was made', schema: Cluster },
      ],
      handler: async ({ params, body }) => {
        const { cluster, created } = await clusters.put(params.cluster, body);
        return { status: created ? 201 : 200, body: cluster };
      },
    }),
    route('GET', '/v1/clusters/{cluster}', {
      id: 'getCluster',
      summary: 'A cluster',
      tag,
      access: 'read',
      params,
      answers: [{ status: 200, description: 'The cluster', schema: Cluster }],
      handler: async ({ params }) => {
        const cluster = await clusters.get(params.cluster);
        if (cluster !== undefined) return { body: cluster };
        throw new AppError('CLUSTER_NOT_FOUND', `there is no cluster ${params.cluster}`, { kind: 'not-found' });
      },
    }),
    route('GET', '/v1/clusters/{cluster}/placements', {
      id: 'listPlacements',
      summary: 'Why tasks have no place: of services that wait, and of single runs of the last hour',
      tag,
      access: 'read',
      params,
      answers: [{ status: 200, description: 'One for each', schema: z.object({ placements: z.array(Placement) }) }],
      handler: async ({ params }) => ({ body: { placements: await placements.list(params.cluster) } }),
    }),
    route('DELETE', '/v1/clusters/{cluster}', {
      id: 'deleteCluster',
      summary: 'Deletes a cluster; with force its services and tasks too',
      tag,
      access: 'admin',
      params,
      query: z.strictObject({ force: flag.exactOptional() }),
      answers: [
        { status: 204, description: 'It is gone' },
        { status: 202, description: 'It goes as soon as its tasks have stopped' },
      ],
      handler: async ({ params, query }) => {
        const { gone } = await clusters.remove(params.cluster, { force: isSet(query.force) });
        return { status: gone ? 204 : 202 };
      },
    }),
    route('GET', '/v1/clusters/{cluster}/instances', {
      id: 'listInstances',
      summary: 'Container instances of a cluster, with what they offer and have left',
      tag,
      access: 'read',
      params,
      answers: [{ status: 200, description: 'All instances', schema: listOf('instances', Instance) }],
      handler: async ({ params }) => ({ body: { instances: await clusters.instances(params.cluster) } }),
    }),
    route('POST', '/v1/clusters/{cluster}/instances/{instance}/drain', {
      id: 'drainInstance',
      summary: 'No new task goes to the instance; those of services are replaced elsewhere',
      tag,
      access: 'admin',
      params: z.strictObject({ cluster: clusterName, instance: z.string().min(1) }),
      answers: [{ status: 202, description: 'The instance', schema: Instance }],
      handler: async ({ params }) => ({ status: 202, body: await clusters.drain(params.cluster, params.instance) }),
    }),
  ];
}
