/** A task's network as DescribeTasks shows it: port bindings, and the interface of an awsvpc task. */
import type { NetworkBinding } from '../agent/types.js';
import type { ContainerState, TaskState } from '../state/model.js';

/** One entry for each port, or for each range of ports. */
export function bindingViews(bindings: readonly NetworkBinding[]): object[] {
  const seen = new Set<string>();
  return bindings.flatMap(({ range, ...binding }): object[] => {
    if (range === undefined) return [binding];
    const key = `${range.host}/${binding.protocol}`;
    if (seen.has(key)) return [];
    seen.add(key);
    const { bindIP, protocol } = binding;
    return [{ bindIP, protocol, containerPortRange: range.container, hostPortRange: range.host }];
  });
}

export function attachmentViews(task: TaskState): object[] {
  const { networkConfiguration } = task;
  if (networkConfiguration === undefined) return [];
  const address = addressOf(task);
  const subnet = networkConfiguration.awsvpcConfiguration?.subnets[0];
  return [
    {
      id: attachmentId(task),
      type: 'ElasticNetworkInterface',
      status: task.lastStatus === 'STOPPED' ? 'DELETED' : address === undefined ? 'PRECREATED' : 'ATTACHED',
      details: [
        ...(subnet === undefined ? [] : [{ name: 'subnetId', value: subnet }]),
        { name: 'networkInterfaceId', value: `eni-${task.id.slice(0, 17)}` },
        ...(address === undefined ? [] : [{ name: 'privateIPv4Address', value: address }]),
      ],
    },
  ];
}

export function interfaceViews(container: ContainerState, task: TaskState): object[] {
  if (container.ownInterface !== true || container.address === undefined) return [];
  return [{ attachmentId: attachmentId(task), privateIpv4Address: container.address }];
}

function addressOf(task: TaskState): string | undefined {
  return task.containers.find(({ ownInterface }) => ownInterface === true)?.address;
}

/** In the form of a UUID, always the same for a task. */
function attachmentId(task: TaskState): string {
  return task.id.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
