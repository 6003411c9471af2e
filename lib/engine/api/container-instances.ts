/** Container instances: logical ones, made by RegisterContainerInstance, each with resources and attributes of its own. */
import * as z from 'zod';
import { EcsError, clientError, invalidParameter } from '../ecs-error.js';
import { instanceView } from '../instance-events.js';
import { addInstance, RESERVED_TCP } from '../instances/add-instance.js';
import { mergeAttributes, registrationAttributes } from '../instances/attributes.js';
import { changeInstance } from '../instances/change-instance.js';
import { evaluate } from '../placement/evaluate.js';
import { parseQuery } from '../placement/query.js';
import { instanceSnapshot } from '../placement/snapshot.js';
import type { InstanceState, Resources } from '../state/model.js';
import { attribute, cluster, maxResults, nextToken, strings, tags, text } from './input.js';
import { operation, requireCluster, type Api, type Failure, type Operation } from './operation.js';
import { pageOf } from './page.js';

const INACTIVE_KEPT_MS = 3_600_000;

const resource = z.object({
  name: text,
  type: text.optional(),
  integerValue: z.int().optional(),
  longValue: z.int().optional(),
  doubleValue: z.number().optional(),
  stringSetValue: strings.optional(),
});

const registerContainerInstance = operation(
  z.object({
    cluster,
    instanceIdentityDocument: text.optional(),
    instanceIdentityDocumentSignature: text.optional(),
    totalResources: z.array(resource).optional(),
    versionInfo: z
      .object({ agentVersion: text.optional(), agentHash: text.optional(), dockerVersion: text.optional() })
      .optional(),
    containerInstanceArn: text.optional(),
    attributes: z.array(attribute).optional(),
    platformDevices: z.array(z.object({ id: text.min(1), type: z.enum(['GPU', 'NEURON_DEVICE']) })).optional(),
    tags: tags.optional(),
  }),
  async (api, input) => {
    const { state, deps } = api.context;
    const { name } = await requireCluster(api, input.cluster);
    const gpuIds = gpusOf(input, api.context.deps.agent.abilities?.gpus === true);
    const registered = { ...totalResources(input.totalResources ?? []), ...(gpuIds.length === 0 ? {} : { gpuIds }) };
    const identity = identityOf(input.instanceIdentityDocument);
    const id =
      input.containerInstanceArn === undefined
        ? deps.ids.hex(16)
        : api.context.arns.shortName('container-instance', input.containerInstanceArn, name);
    const attributes = registrationAttributes(identity, api.context.options, input.attributes ?? []);
    const existing = await state.instances.get(name, id);
    if (existing !== undefined && existing.status !== 'INACTIVE') {
      return { containerInstance: await reRegister(api, existing, attributes) };
    }
    const instance = await addInstance(api.context, {
      cluster: name,
      id,
      ec2InstanceId: identity['instanceId'],
      attributes,
      registered,
      versionInfo: Object.fromEntries(
        Object.entries(input.versionInfo ?? {}).filter((entry): entry is [string, string] => entry[1] !== undefined),
      ),
      tags: input.tags ?? [],
    });
    await api.clusterChanged(name);
    return { containerInstance: instanceView(instance, [], { tags: true }) };
  },
);

/** An agent that comes back keeps its tasks and takes its new attributes. */
async function reRegister(api: Api, existing: InstanceState, attributes: InstanceState['attributes']): Promise<object> {
  const after = await changedInstance(api, existing.clusterName, existing.id, (now) => ({
    ...now,
    attributes: mergeAttributes(now.attributes, attributes),
  }));
  return instanceView(after, await api.context.state.tasks.all(existing.clusterName), { tags: true });
}

const deregisterContainerInstance = operation(
  z.object({ cluster, containerInstance: text, force: z.boolean().optional() }),
  async (api, input) => {
    const { state, deps } = api.context;
    const { name } = await requireCluster(api, input.cluster);
    const id = api.context.arns.shortName('container-instance', input.containerInstance, name);
    const instance = await state.instances.get(name, id);
    if (instance === undefined || instance.status === 'INACTIVE') throw noInstance();
    const tasks = (await state.tasks.all(name)).filter((task) => task.instanceId === id);
    if (tasks.some((task) => task.desiredStatus === 'RUNNING') && input.force !== true) {
      throw invalidParameter('Found running tasks on the instance.');
    }
    const after = await changedInstance(
      api,
      name,
      id,
      (now) => ({ ...now, status: 'INACTIVE' }),
      deps.clock.nowMs() + INACTIVE_KEPT_MS,
    );
    for (const task of tasks) {
      await api.lifecycle.stop(name, task.id, {
        stopCode: 'UserInitiated',
        reason: 'Container instance deregistered forcibly by user',
      });
    }
    await api.clusterChanged(name);
    return { containerInstance: instanceView(after, []) };
  },
);

const updateContainerInstancesState = operation(
  z.object({ cluster, containerInstances: strings.min(1).max(10), status: z.enum(['ACTIVE', 'DRAINING']) }),
  async (api, input) => {
    const { state } = api.context;
    const { name } = await requireCluster(api, input.cluster);
    const failures: Failure[] = [];
    const containerInstances: object[] = [];
    for (const asked of input.containerInstances) {
      const id = api.context.arns.shortName('container-instance', asked, name);
      const instance = await state.instances.get(name, id);
      if (instance === undefined || instance.status === 'INACTIVE') {
        failures.push({
          arn: api.context.arns.instance(name, id),
          reason: instance === undefined ? 'MISSING' : 'INACTIVE',
        });
        continue;
      }
      const after = await changedInstance(api, name, id, (now) => ({ ...now, status: input.status }));
      containerInstances.push(instanceView(after, await state.tasks.all(name)));
    }
    await api.clusterChanged(name);
    return { containerInstances, failures };
  },
);

const describeContainerInstances = operation(
  z.object({
    cluster,
    containerInstances: strings.min(1).max(100),
    include: z.array(z.enum(['TAGS', 'CONTAINER_INSTANCE_HEALTH'])).optional(),
  }),
  async (api, input) => {
    const { state, arns } = api.context;
    const { name } = await requireCluster(api, input.cluster);
    const tasks = await state.tasks.all(name);
    const failures: Failure[] = [];
    const containerInstances: object[] = [];
    for (const asked of input.containerInstances) {
      const id = arns.shortName('container-instance', asked, name);
      const instance = await state.instances.get(name, id);
      if (instance === undefined) failures.push({ arn: arns.instance(name, id), reason: 'MISSING' });
      else {
        containerInstances.push(instanceView(instance, tasks, { tags: input.include?.includes('TAGS') === true }));
      }
    }
    return { containerInstances, failures };
  },
);

const listContainerInstances = operation(
  z.object({
    cluster,
    filter: text.optional(),
    status: z.enum(['ACTIVE', 'DRAINING', 'REGISTERING', 'DEREGISTERING', 'REGISTRATION_FAILED']).optional(),
    nextToken,
    maxResults: maxResults(),
  }),
  async (api, input) => {
    const { state } = api.context;
    const { name } = await requireCluster(api, input.cluster);
    const query = input.filter === undefined || input.filter === '' ? undefined : parseQuery(input.filter);
    const tasks = query === undefined ? [] : await state.tasks.all(name);
    const instances = (await state.instances.all(name)).filter(
      (instance) =>
        instance.status !== 'INACTIVE' &&
        (input.status === undefined || instance.status === input.status) &&
        (query === undefined || evaluate(query, instanceSnapshot(instance, tasks))),
    );
    const page = pageOf(instances, (instance) => instance.id, input);
    return { containerInstanceArns: page.items.map((instance) => instance.arn), nextToken: page.nextToken };
  },
);

async function changedInstance(
  api: Api,
  cluster: string,
  id: string,
  change: (instance: InstanceState) => InstanceState,
  expiresAtMs?: number,
): Promise<InstanceState> {
  const after = await changeInstance(api.context, cluster, id, change, expiresAtMs);
  if (after === undefined) throw noInstance();
  return after;
}

const noInstance = (): EcsError => invalidParameter('The referenced container instance was not found.');

function totalResources(list: readonly z.infer<typeof resource>[]): Resources {
  const number = (name: string): number => {
    const found = list.find((item) => item.name === name);
    return found?.integerValue ?? found?.longValue ?? found?.doubleValue ?? 0;
  };
  const ports = (name: string): number[] =>
    (list.find((item) => item.name === name)?.stringSetValue ?? []).map((port) => {
      const value = Number(port);
      if (!Number.isInteger(value) || value < 1 || value > 65_535) {
        throw invalidParameter(`Invalid port "${port}" in ${name}.`);
      }
      return value;
    });
  const [cpu, memoryMiB] = [number('CPU'), number('MEMORY')];
  if (cpu <= 0 || memoryMiB <= 0) {
    throw invalidParameter('totalResources needs CPU (units) and MEMORY (MiB), each with an integerValue above 0.');
  }
  const tcpPorts = [...new Set([...RESERVED_TCP, ...ports('PORTS')])].sort((a, b) => a - b);
  if (tcpPorts.length > 100) throw invalidParameter('At most 100 ports can be reserved.');
  return { cpu, memoryMiB, tcpPorts, udpPorts: ports('PORTS_UDP') };
}

/** Told as devices, as the agent of ECS does, or as the resource that they are shown as. @throws ClientException */
function gpusOf(
  input: {
    readonly platformDevices?: readonly { readonly id: string; readonly type: string }[] | undefined;
    readonly totalResources?: readonly z.infer<typeof resource>[] | undefined;
  },
  haveGpus: boolean,
): readonly string[] {
  const devices = input.platformDevices ?? [];
  const ids = new Set([
    ...devices.filter(({ type }) => type === 'GPU').map(({ id }) => id),
    ...(input.totalResources ?? []).flatMap(({ name, stringSetValue = [] }) => (name === 'GPU' ? stringSetValue : [])),
  ]);
  const other = devices.find(({ type }) => type !== 'GPU');
  if (other !== undefined) throw clientError(`platformDevices of type ${other.type} are not supported by this engine.`);
  if (ids.size > 0 && !haveGpus) {
    throw clientError('platformDevices: GPUs are not supported by this engine, but in the simulated runtime.');
  }
  return [...ids].sort((a, b) => (a < b ? -1 : 1));
}

/** The members of an EC2 instance identity document that are used: instanceId, instanceType, availabilityZone, architecture. */
function identityOf(document: string | undefined): Readonly<Record<string, string>> {
  if (document === undefined || document === '') return {};
  try {
    const value: unknown = JSON.parse(document);
    if (typeof value === 'object' && value !== null) {
      return Object.fromEntries(
        Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
      );
    }
  } catch {
    // Refused below.
  }
  throw new EcsError('ClientException', 'instanceIdentityDocument is not a JSON object.');
}

export const containerInstanceOperations: Readonly<Record<string, Operation>> = {
  RegisterContainerInstance: registerContainerInstance,
  DeregisterContainerInstance: deregisterContainerInstance,
  UpdateContainerInstancesState: updateContainerInstancesState,
  DescribeContainerInstances: describeContainerInstances,
  ListContainerInstances: listContainerInstances,
};
