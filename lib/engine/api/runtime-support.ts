/**
 * What the local runtime cannot do (yet), by the name of the member that asks for it. A task definition with such a
 * member is refused when it is registered, so that nothing is ever accepted and then silently left out.
 */
import { isNamespacedSysctl } from '../../runtime/index.js';
import type { AgentAbilities } from '../agent/types.js';
import { clientError } from '../ecs-error.js';
import type { ContainerDefinitionInput } from './container-definition-input.js';
import type { TaskDefinitionInput } from './task-definition-input.js';

type Has<T> = readonly (readonly [
  member: string,
  present: (value: T, abilities: AgentAbilities) => boolean,
  instead: string,
])[];

const NO_ABILITIES: AgentAbilities = { secrets: false, objects: false, init: false, hostPaths: [] };

const filled = (list: readonly unknown[] | undefined): boolean => list !== undefined && list.length > 0;

const TASK: Has<TaskDefinitionInput> = [
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
  [
    'volumes with host.sourcePath',
    (d, { hostPaths }) =>
      d.volumes.some((v) => v.host?.sourcePath !== undefined && !isBelow(v.host.sourcePath, hostPaths)),
    'the operator has not allowed this folder of the host; leave sourcePath out for a volume that lives as long as the task',
  ],
  [
    'volumes with dockerVolumeConfiguration.driver',
    (d) => d.volumes.some((v) => (v.dockerVolumeConfiguration?.driver ?? 'local') !== 'local'),
    'only the driver local is there',
  ],
  [
    'volumes with dockerVolumeConfiguration.driverOpts',
    (d) => d.volumes.some((v) => Object.keys(v.dockerVolumeConfiguration?.driverOpts ?? {}).length > 0),
    'leave them out',
  ],
  [
    'volumes with configuredAtLaunch',
    (d) => d.volumes.some((v) => v.configuredAtLaunch === true),
    'EBS volumes are not there',
  ],
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
  [
    'resourceRequirements',
    (c, { gpus }) => isBeyond(c.resourceRequirements, gpus === true),
    'no GPU or accelerator is offered here; the simulated runtime places whole GPUs',
  ],
  ['repositoryCredentials', (c) => c.repositoryCredentials !== undefined, 'images come from the local registry'],
  [
    'environmentFiles',
    (c, { objects }) => filled(c.environmentFiles) && !objects,
    'the engine was given no objects to read; use environment',
  ],
  [
    'secrets',
    (c, { secrets }) => filled(c.secrets) && !secrets,
    'the engine was given no source of secrets; use environment',
  ],
  ['dockerSecurityOptions', (c) => filled(c.dockerSecurityOptions), 'leave it out'],
  ['firelensConfiguration', (c) => c.firelensConfiguration !== undefined, 'use json-file or awslogs'],
  ['credentialSpecs', (c) => filled(c.credentialSpecs), 'they are for Windows'],
  [
    'logConfiguration.logDriver',
    (c) => c.logConfiguration !== undefined && !LOG_DRIVERS.includes(c.logConfiguration.logDriver),
    'json-file or awslogs; either way the engine keeps the lines itself',
  ],
  ['logConfiguration.secretOptions', (c) => filled(c.logConfiguration?.secretOptions), 'leave it out'],
  ['linuxParameters.devices', (c) => filled(c.linuxParameters?.devices), 'no host devices are handed in'],
  [
    'linuxParameters.initProcessEnabled',
    (c, { init }) => c.linuxParameters?.initProcessEnabled === true && !init,
    'the machine has no init program: install tini or catatonit',
  ],
  [
    'systemControls',
    (c) => c.systemControls.some(({ namespace = '' }) => !isNamespacedSysctl(namespace, true)),
    "only settings of the container's own namespaces: kernel.msg*, kernel.sem, kernel.shm*, fs.mqueue.* and net.*",
  ],
  ['linuxParameters.maxSwap', (c) => c.linuxParameters?.maxSwap !== undefined, 'leave it out'],
  ['linuxParameters.swappiness', (c) => c.linuxParameters?.swappiness !== undefined, 'leave it out'],
];

/** What is more than a number of whole GPUs, or any where there are none. Also of overrides. */
export function isBeyond(
  requirements: ContainerDefinitionInput['resourceRequirements'] = [],
  haveGpus: boolean,
): boolean {
  return requirements.some(({ type, sharingStrategy }) => !haveGpus || type !== 'GPU' || sharingStrategy !== undefined);
}

/** The agent looks again when it mounts, with links resolved. */
function isBelow(path: string, folders: readonly string[]): boolean {
  if (!path.startsWith('/') || path.split('/').includes('..')) return false;
  return folders.some((folder) => path === folder || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`));
}

/** @throws ClientException naming the member and what to do instead */
export function refuseUnsupported(definition: TaskDefinitionInput, abilities = NO_ABILITIES): void {
  for (const [member, present, instead] of TASK) {
    if (present(definition, abilities)) throw clientError(`${member} is not supported by this engine: ${instead}.`);
  }
  for (const container of definition.containerDefinitions) {
    for (const [member, present, instead] of CONTAINER) {
      if (present(container, abilities)) {
        throw clientError(`Container ${container.name ?? ''}: ${member} is not supported by this engine: ${instead}.`);
      }
    }
  }
}
