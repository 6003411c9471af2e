/** Runs one task and tells its events on stdout until it is killed. */
import type { TaskPayload } from '../../lib/engine/agent/index.js';
import { openAgentHost } from './agent-host.js';

const host = await openAgentHost(process.env['WHARF_DIRECTORY'] ?? '');
host.agent.onEvent((event) => process.stdout.write(`${JSON.stringify(event)}\n`));
host.agent.run(JSON.parse(process.env['WHARF_PAYLOAD'] ?? '') as TaskPayload);
setInterval(() => undefined, 60_000);
