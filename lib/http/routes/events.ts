/** What happened, newest first. */
import * as z from 'zod';
import type { ApiDeps } from '../api-deps.js';
import { route, type Route } from '../route.js';
import { clusterName, listOf, page, PlatformEvent, serviceName } from '../schemas/index.js';

export function eventRoutes({ platform: { events } }: ApiDeps): readonly Route[] {
  return [
    route('GET', '/v1/events', {
      id: 'listEvents',
      summary: 'Events of all clusters, of one, or of one service (with its cluster), newest first',
      tag: 'Events',
      access: 'read',
      query: z
        .strictObject({ ...page, cluster: clusterName.exactOptional(), service: serviceName.exactOptional() })
        .refine((query) => query.service === undefined || query.cluster !== undefined, {
          error: 'a service is named together with its cluster',
          path: ['cluster'],
        }),
      answers: [{ status: 200, description: 'A page of events', schema: listOf('events', PlatformEvent) }],
      handler: async ({ query }) => {
        const { items, cursor } = await events.list(query);
        return { body: { events: items, cursor } };
      },
    }),
  ];
}
