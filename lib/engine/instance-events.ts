/** Container instances as clients and events see them. */
import { epochSeconds } from './api/task-view.js';
import type { Context } from './context.js';
import { withIsoTimes } from './events.js';
import type { InstanceState, Resources, TaskState } from './state/model.js';

/** An instance as DescribeContainerInstances shows it. */
export function instanceView(
  instance: InstanceState,
  tasks: readonly TaskState[],
  include: { readonly tags?: boolean } = {},
): object {
  const here = tasks.filter((task) => task.instanceId === instance.id);
  return {
    ...instanceCore(instance),
    runningTasksCount: here.filter((task) => task.lastStatus === 'RUNNING').length,
    pendingTasksCount: here.filter((task) => task.lastStatus === 'PENDING' || task.lastStatus === 'ACTIVATING').length,
    attachments: [],
    tags: include.tags === true ? instance.tags : [],
  };
}

export function emitInstanceEvent(context: Context, instance: InstanceState): void {
  context.events.emit('ECS Container Instance State Change', [instance.arn], {
    ...withIsoTimes(instanceCore(instance)),
    clusterArn: context.arns.cluster(instance.clusterName),
    updatedAt: new Date(context.deps.clock.nowMs()).toISOString(),
  });
}

function instanceCore(instance: InstanceState): object {
  return {
    containerInstanceArn: instance.arn,
    ec2InstanceId: instance.ec2InstanceId,
    capacityProviderName: instance.capacityProviderName,
    version: instance.version,
    versionInfo: instance.versionInfo,
    remainingResources: resourceList(instance.remaining),
    registeredResources: resourceList(instance.registered),
    status: instance.status,
    statusReason: instance.statusReason,
    agentConnected: instance.status !== 'INACTIVE',
    attributes: instance.attributes,
    registeredAt: epochSeconds(instance.registeredAtMs),
  };
}

function resourceList(resources: Resources): object[] {
  const integer = (name: string, integerValue: number): object => ({
    name,
    type: 'INTEGER',
    doubleValue: 0,
    longValue: 0,
    integerValue,
  });
  const set = (name: string, list: readonly (number | string)[]): object => ({
    name,
    type: 'STRINGSET',
    doubleValue: 0,
    longValue: 0,
    integerValue: 0,
    stringSetValue: list.map(String),
  });
  return [
    integer('CPU', resources.cpu),
    integer('MEMORY', resources.memoryMiB),
    set('PORTS', resources.tcpPorts),
    set('PORTS_UDP', resources.udpPorts),
    ...(resources.gpuIds === undefined ? [] : [set('GPU', resources.gpuIds)]),
  ];
}
