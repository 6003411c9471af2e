/** The tasks of a service that serve, with where they are reached: what names of a service lead to. */
import type { ServiceNames, ServingTask } from '../agent/types.js';
import type { Context } from '../context.js';
import type { TaskState } from '../state/model.js';
import type { ServiceState } from '../state/service-model.js';
import { primaryOf } from './deployments.js';
import { judge } from './health.js';

/** @param name in any case @returns undefined when there is no such service */
export async function servingTasks(context: Context, cluster: string, name: string): Promise<ServiceNames | undefined> {
  const service = await findService(context, cluster, name);
  return service === undefined ? undefined : namesOf(context, service);
}

/** @param dnsName in lower case @returns undefined when no service of the cluster was given this name */
export async function servingAlias(
  context: Context,
  cluster: string,
  dnsName: string,
): Promise<ServiceNames | undefined> {
  for (const service of await context.state.services.all(cluster)) {
    const endpoint = primaryOf(service)?.serviceConnect?.endpoints.find(({ names }) => names.includes(dnsName));
    if (endpoint !== undefined) return namesOf(context, service, endpoint.portName);
  }
  return undefined;
}

/** @param portName of the container that is meant */
async function namesOf(context: Context, service: ServiceState, portName?: string): Promise<ServiceNames | undefined> {
  if (service.status === 'INACTIVE') return undefined;
  const rules = {
    targetGroups: context.deps.targetGroups,
    // A task that nothing can be asked about serves as soon as it runs.
    healthyAfterRunningMs: 0,
    nowMs: context.deps.clock.nowMs(),
  };
  const live = await context.state.live.of(service.clusterName);
  const healthy = live.tasksOfService(service.name).filter((task) => judge(task, service, rules).verdict === 'healthy');
  const tasks = await Promise.all(healthy.map((task) => servingTask(context, task, portName)));
  return { name: service.name, tasks: tasks.flatMap((task) => task ?? []) };
}

async function findService(context: Context, cluster: string, name: string): Promise<ServiceState | undefined> {
  const { services } = context.state;
  const exact = await services.get(cluster, name);
  if (exact !== undefined) return exact;
  return (await services.all(cluster)).find((service) => service.name.toLowerCase() === name);
}

/**
 * At the address of the container that has ports, or of the first essential one. Undefined for a task without an
 * address of its own, and on the host's network.
 */
async function servingTask(
  context: Context,
  task: TaskState,
  portName: string | undefined,
): Promise<ServingTask | undefined> {
  const definition = await context.state.taskDefinition(task.family, task.revision);
  const containers = definition?.definition.containerDefinitions ?? [];
  const isMeant = ({ name }: { readonly name?: string | undefined }): boolean =>
    portName === undefined || name === portName;
  const chosen =
    containers.find(({ portMappings }) => portMappings.some(isMeant)) ?? containers.find(({ essential }) => essential);
  const address = task.containers.find(({ name }) => name === chosen?.name)?.address;
  if (chosen === undefined || address === undefined) return undefined;
  return {
    taskId: task.id,
    address,
    ports: chosen.portMappings
      .filter(isMeant)
      .flatMap(({ containerPort, protocol, name }) =>
        containerPort === undefined ? [] : [{ port: containerPort, protocol, ...(name === undefined ? {} : { name }) }],
      ),
  };
}
