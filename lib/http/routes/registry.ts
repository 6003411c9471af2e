/** The registry as a store: what it holds, and whether everything in it is as it should be. */
import * as z from 'zod';
import { registryStats, verifyRegistry } from '../../registry/index.js';
import type { ApiDeps, ApiOptions } from '../api-deps.js';
import { route, type Route } from '../route.js';
import { flag, isSet } from '../schemas/index.js';
import { sseResponse } from '../sse.js';
import { streamOptions } from './stream-options.js';

const count = (description: string) => z.number().meta({ description });

const RegistryStats = z
  .object({
    repositories: z.number(),
    tags: z.number(),
    manifests: z.number(),
    blobs: count('Different blobs that repositories link.'),
    logicalBytes: count('If every image kept its own copy of all it names.'),
    imageBytes: count('Of the blobs that repositories link, each once, and of manifests.'),
    storedBytes: count('Everything in the blob store: images, and what builds keep.'),
    saving: count('Part of the logical bytes that need not be stored, 0 to 1.'),
  })
  .meta({ id: 'RegistryStats' });

export function registryRoutes(deps: ApiDeps, options: ApiOptions): readonly Route[] {
  const tag = 'Registry';
  return [
    route('GET', '/v1/registry/stats', {
      id: 'getRegistryStats',
      summary: 'How much the registry holds, and what it saves by keeping every blob once',
      tag,
      access: 'admin',
      answers: [{ status: 200, description: 'Counts and bytes', schema: RegistryStats }],
      handler: async () => ({ body: await registryStats(deps) }),
    }),
    route('POST', '/v1/registry/verify', {
      id: 'verifyRegistry',
      summary: 'Reads everything back and hashes it again; events progress, problem, and last finished',
      tag,
      access: 'admin',
      query: z.strictObject({
        repair: flag
          .exactOptional()
          .meta({ description: 'Take damaged blobs out of use, so that they can be sent again.' }),
      }),
      answers: [{ status: 200, description: 'Progress and problems', streams: ['text/event-stream'] }],
      handler: async ({ query, call }) => {
        async function* events(signal: AbortSignal) {
          let id = 0;
          for await (const event of verifyRegistry(deps, { repair: isSet(query.repair) })) {
            signal.throwIfAborted();
            yield { id: String(++id), event: event.type, data: event };
          }
        }
        return sseResponse(events, streamOptions(deps, options, call));
      },
    }),
  ];
}
