/** Which targets of which target groups a task stands for, once its containers have addresses; into the groups and out. */
import type { Context } from '../context.js';
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

export async function registerTargets(context: Context, task: TaskState): Promise<void> {
  for (const { targetGroupArn, host, port } of task.targets) {
    await context.deps.targetGroups?.register(targetGroupArn, { host, port });
  }
}

/** Resolves once requests under way have ended. A target that cannot be taken out is logged, not waited for. */
export async function deregisterTargets(context: Context, targets: readonly RegisteredTarget[]): Promise<void> {
  const results = await Promise.allSettled(
    targets.map(async ({ targetGroupArn, host, port }) => {
      await context.deps.targetGroups?.deregister(targetGroupArn, { host, port });
    }),
  );
  for (const result of results) {
    if (result.status === 'rejected') {
      context.deps.logger.warn('a target could not be deregistered', { error: String(result.reason) });
    }
  }
}
