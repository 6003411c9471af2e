/** Starts a container, says so, and stays until it is killed: the process that must not matter. */
import { type ContainerSpec, openHostScope, SupervisedContainers } from '../../lib/runtime/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';

const spec = JSON.parse(process.env['WHARF_SPEC'] ?? '') as ContainerSpec;
const scope = await openHostScope(process.env['WHARF_SCOPE'] ?? '');
const ociRuntime = process.env['WHARF_OCI_RUNTIME'] === 'crun' ? 'crun' : 'runc';
const containers = new SupervisedContainers({ scope, clock: systemClock }, { ociRuntime });
await containers.create(spec);
await containers.start(spec.id);
process.stdout.write('started\n');
await containers.waitExit(spec.id);
