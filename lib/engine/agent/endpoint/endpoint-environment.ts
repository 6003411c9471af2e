/** What the agent itself puts into a container's environment: where it finds its task's endpoint, and where it is. */
import { type HostScope, serviceAddress, TASK_ENDPOINT_ADDRESS, TASK_ENDPOINT_PORT } from '../../../runtime/index.js';
import type { EndpointIds } from '../task-records.js';
import type { ContainerPayload, TaskPayload } from '../types.js';

/** Of variables of which the first decides: none is set where the image or the definition has one of them. */
const REGION = ['AWS_REGION', 'AWS_DEFAULT_REGION'] as const;

/**
 * `NAME=value`, to be put over the image's and the definition's own: as in ECS the endpoints cannot be set otherwise,
 * while a region that somebody chose stays.
 * @param own the container's environment without these
 */
export function endpointEnvironment(
  scope: HostScope,
  task: TaskPayload,
  container: ContainerPayload,
  ids: EndpointIds | undefined,
  own: readonly string[],
): readonly string[] {
  const has = (name: string): boolean => own.some((entry) => entry.startsWith(`${name}=`));
  const region = task.taskArn.split(':')[3] ?? '';
  const place = [
    ...(has('AWS_EXECUTION_ENV') ? [] : ['AWS_EXECUTION_ENV=AWS_ECS_EC2']),
    ...(region === '' || REGION.some(has) ? [] : REGION.map((name) => `${name}=${region}`)),
  ];
  const id = ids?.containers[container.name];
  const isCutOff = task.networkMode === 'none' || container.disableNetworking === true;
  if (id === undefined || isCutOff) return place;
  const onHost = task.networkMode === 'host';
  const base = onHost ? `http://${serviceAddress(scope)}:${TASK_ENDPOINT_PORT}` : `http://${TASK_ENDPOINT_ADDRESS}`;
  return [
    ...place,
    `ECS_CONTAINER_METADATA_URI_V4=${base}/v4/${id}`,
    `ECS_AGENT_URI=${base}/api/${id}`,
    ...credentialsVariable(base, onHost, ids?.credentials),
  ];
}

/**
 * On the host's own network 169.254.170.2 leads nowhere, since two platforms may share the host. SDKs ask a loopback
 * address by its whole URI just as well.
 */
function credentialsVariable(base: string, onHost: boolean, id: string | undefined): readonly string[] {
  if (id === undefined) return [];
  const path = `/v2/credentials/${id}`;
  return [
    onHost ? `AWS_CONTAINER_CREDENTIALS_FULL_URI=${base}${path}` : `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=${path}`,
  ];
}
