/**
 * What the local runtime cannot do (yet), by the name of the member that asks for it. A task definition with such a
 * member is refused when it is registered, so that nothing is ever accepted and then silently left out.
 */
import { clientError } from '../ecs-error.js';
import type { ContainerDefinitionInput } from './container-definition-input.js';
import type { TaskDefinitionInput } from './task-definition-input.js';

type Has<T> = readonly (readonly [member: string, present: (value: T) => boolean, instead: string])[];

const filled = (list: readonly unknown[] | undefined): boolean => list !== undefined && list.length > 0;

const TASK: Has<TaskDefinitionInput> = [
  ['networkMode awsvpc', (d) => d.networkMode === 'awsvpc', 'use bridge, host or none'],
  [
    'volumes with efsVolumeConfiguration',
    (d) => d.volumes.some((v) => v.efsVolumeConfiguration !== undefined),
    'no EFS here',
  ],
  [
    'volumes with fsxWindowsFileServerVolumeConfiguration',
    (d) => d.volumes.some((v) => v.fsxWindowsFileServerVolumeConfiguration !== undefined),
    'no FSx here',
  ],
  [
    'volumes with s3filesVolumeConfiguration',
    (d) => d.volumes.some((v) => v.s3filesVolumeConfiguration !== undefined),
    'no S3 Files here',
  ],
  ['volumes', (d) => filled(d.volumes), 'keep the data in the image or outside the task'],
  ['proxyConfiguration', (d) => d.proxyConfiguration !== undefined, 'no App Mesh here'],
  ['inferenceAccelerators', (d) => filled(d.inferenceAccelerators), 'no accelerators here'],
  ['ephemeralStorage', (d) => d.ephemeralStorage !== undefined, 'it is a Fargate setting'],
  ['pidMode', (d) => d.pidMode !== undefined, 'every container has its own PID namespace'],
  ['ipcMode', (d) => d.ipcMode !== undefined && d.ipcMode !== 'none', 'every container has its own IPC namespace'],
  ['enableFaultInjection', (d) => d.enableFaultInjection === true, 'no fault injection endpoints here'],
  [
    'runtimePlatform.operatingSystemFamily',
    (d) => (d.runtimePlatform?.operatingSystemFamily ?? 'LINUX') !== 'LINUX',
    'Windows containers need Windows: only LINUX runs here',
  ],
  [
    'requiresCompatibilities',
    (d) => d.requiresCompatibilities?.some((c) => c !== 'EC2') === true,
    'only EC2 is served',
  ],
];

const LOG_DRIVERS: readonly string[] = ['json-file', 'awslogs'];

const CONTAINER: Has<ContainerDefinitionInput> = [
  ['resourceRequirements', (c) => filled(c.resourceRequirements), 'no GPU or accelerator is offered here'],
  ['repositoryCredentials', (c) => c.repositoryCredentials !== undefined, 'images come from the local registry'],
  ['links', (c) => filled(c.links), 'containers of a task reach one another by published port'],
  ['restartPolicy', (c) => c.restartPolicy?.enabled === true, 'a service replaces the task instead'],
  ['environmentFiles', (c) => filled(c.environmentFiles), 'use environment'],
  ['secrets', (c) => filled(c.secrets), 'use environment'],
  ['mountPoints', (c) => filled(c.mountPoints), 'volumes are not served'],
  ['volumesFrom', (c) => filled(c.volumesFrom), 'volumes are not served'],
  ['hostname', (c) => c.hostname !== undefined, 'leave it out'],
  ['disableNetworking', (c) => c.disableNetworking === true, 'use networkMode none'],
  ['dnsServers', (c) => filled(c.dnsServers), "the machine's resolver is used"],
  ['dnsSearchDomains', (c) => filled(c.dnsSearchDomains), "the machine's resolver is used"],
  ['extraHosts', (c) => filled(c.extraHosts), 'leave it out'],
  ['dockerSecurityOptions', (c) => filled(c.dockerSecurityOptions), 'leave it out'],
  ['interactive', (c) => c.interactive === true, 'leave it out'],
  ['pseudoTerminal', (c) => c.pseudoTerminal === true, 'leave it out'],
  ['systemControls', (c) => filled(c.systemControls), 'leave it out'],
  ['firelensConfiguration', (c) => c.firelensConfiguration !== undefined, 'use json-file or awslogs'],
  ['credentialSpecs', (c) => filled(c.credentialSpecs), 'they are for Windows'],
  [
    'portMappings with containerPortRange',
    (c) => c.portMappings.some((p) => p.containerPortRange !== undefined),
    'list the ports',
  ],
  [
    'logConfiguration.logDriver',
    (c) => c.logConfiguration !== undefined && !LOG_DRIVERS.includes(c.logConfiguration.logDriver),
    'json-file or awslogs; either way the engine keeps the lines itself',
  ],
  ['logConfiguration.secretOptions', (c) => filled(c.logConfiguration?.secretOptions), 'leave it out'],
  ['linuxParameters.devices', (c) => filled(c.linuxParameters?.devices), 'no host devices are handed in'],
  ['linuxParameters.tmpfs', (c) => filled(c.linuxParameters?.tmpfs), 'leave it out'],
  ['linuxParameters.initProcessEnabled', (c) => c.linuxParameters?.initProcessEnabled === true, 'leave it out'],
  ['linuxParameters.sharedMemorySize', (c) => c.linuxParameters?.sharedMemorySize !== undefined, 'leave it out'],
  ['linuxParameters.maxSwap', (c) => c.linuxParameters?.maxSwap !== undefined, 'leave it out'],
  ['linuxParameters.swappiness', (c) => c.linuxParameters?.swappiness !== undefined, 'leave it out'],
];

/** @throws ClientException naming the member and what to do instead */
export function refuseUnsupported(definition: TaskDefinitionInput): void {
  for (const [member, present, instead] of TASK) {
    if (present(definition)) throw clientError(`${member} is not supported by this engine: ${instead}.`);
  }
  for (const container of definition.containerDefinitions) {
    for (const [member, present, instead] of CONTAINER) {
      if (present(container)) {
        throw clientError(`Container ${container.name ?? ''}: ${member} is not supported by this engine: ${instead}.`);
      }
    }
  }
}
