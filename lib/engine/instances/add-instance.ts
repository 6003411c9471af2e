/** How a container instance comes to be: registered by a client, or made by the Auto Scaling group of a provider. */
import { clientError } from '../ecs-error.js';
import type { Context } from '../context.js';
import { RUNTIME_ATTRIBUTE } from '../api/task-view.js';
import { emitInstanceEvent } from '../instance-events.js';
import { mergeAttributes } from './attributes.js';
import type { Attribute, InstanceState, Resources, Tag } from '../state/model.js';

/** Ports that the agent and SSH hold on an instance of ECS. */
export const RESERVED_TCP: readonly number[] = [22, 2375, 2376, 51678, 51679, 51680];
const MOST_INSTANCES = 5000;

export interface NewInstance {
  readonly cluster: string;
  /** 32 hex digits. */
  readonly id: string;
  readonly ec2InstanceId?: string | undefined;
  readonly attributes: readonly Attribute[];
  readonly registered: Resources;
  readonly versionInfo: Readonly<Record<string, string>>;
  readonly capacityProviderName?: string;
  readonly tags: readonly Tag[];
}

/** @throws ClientException when the cluster is full */
export async function addInstance(context: Context, wanted: NewInstance): Promise<InstanceState> {
  const { state, arns, deps } = context;
  const { cluster, id, registered, ec2InstanceId, ...rest } = wanted;
  if ((await state.instances.all(cluster)).length >= MOST_INSTANCES) {
    throw clientError(`A cluster has at most ${String(MOST_INSTANCES)} container instances.`);
  }
  const instance: InstanceState = {
    ...rest,
    attributes: marked(rest.attributes, deps.agent.runtime),
    id,
    arn: arns.instance(cluster, id),
    clusterName: cluster,
    ec2InstanceId: ec2InstanceId ?? `i-${id.slice(0, 17)}`,
    status: 'ACTIVE',
    version: 1,
    registeredAtMs: deps.clock.nowMs(),
    registered,
    remaining: registered,
  };
  await state.instances.put(cluster, id, instance);
  emitInstanceEvent(context, instance);
  return instance;
}

function marked(attributes: readonly Attribute[], runtime: string | undefined): readonly Attribute[] {
  return runtime === undefined
    ? attributes
    : mergeAttributes(attributes, [{ name: RUNTIME_ATTRIBUTE, value: runtime }]);
}
