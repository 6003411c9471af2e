/** Which targets of which target groups a task stands for, once its containers have addresses. */
import type { ContainerState, LoadBalancer, RegisteredTarget, TaskState } from '../state/model.js';

/** A load balancer whose container has no such port yields nothing; CreateService refuses that beforehand. */
export function targetsOf(task: TaskState): RegisteredTarget[] {
  return task.loadBalancers.flatMap((balancer) => {
    const container = task.containers.find((candidate) => candidate.name === balancer.containerName);
    const target = container && targetOf(container, balancer);
    return target === undefined ? [] : [{ targetGroupArn: balancer.targetGroupArn, ...target }];
  });
}

function targetOf(container: ContainerState, balancer: LoadBalancer): { host: string; port: number } | undefined {
  // The container's own address needs no port mapping; without one it is the machine's published port.
  if (container.address !== undefined) return { host: container.address, port: balancer.containerPort };
  const binding = container.networkBindings.find(
    (candidate) => candidate.containerPort === balancer.containerPort && candidate.protocol === 'tcp',
  );
  if (binding === undefined) return undefined;
  const anywhere = binding.bindIP === '0.0.0.0' || binding.bindIP === '::' || binding.bindIP === '';
  return { host: anywhere ? '127.0.0.1' : binding.bindIP, port: binding.hostPort };
}
