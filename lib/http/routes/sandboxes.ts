/** What processes that build without containers may do on their machines, as they found out. */
import * as z from 'zod';
import { SandboxReports } from '../../build/index.js';
import type { ApiDeps } from '../api-deps.js';
import { route, type Route } from '../route.js';
import { listOf, timeMs } from '../schemas/index.js';

const SandboxReport = z
  .looseObject({
    name: z.string(),
    atMs: timeMs,
    trials: z.record(z.string(), z.string()).meta({ description: 'By what was tried: yes, or what the kernel said.' }),
  })
  .meta({ id: 'SandboxReport' });

export function sandboxRoutes(deps: ApiDeps): readonly Route[] {
  return [
    route('GET', '/v1/sandboxes', {
      id: 'listSandboxes',
      summary: 'What the functions of this platform may do on their machines, tried when they were deployed',
      tag: 'Service',
      access: 'read',
      answers: [{ status: 200, description: 'By function', schema: listOf('sandboxes', SandboxReport) }],
      handler: async () => ({ body: { sandboxes: await new SandboxReports(deps).list() } }),
    }),
  ];
}
