/** Attributes of container instances: those every instance has, and those that clients put on it. */
import * as z from 'zod';
import { EcsError, invalidParameter } from '../ecs-error.js';
import { mergeAttributes } from '../instances/attributes.js';
import type { InstanceState } from '../state/model.js';
import { attribute, cluster, maxResults, nextToken, text } from './input.js';
import { operation, requireCluster, type Api, type Operation } from './operation.js';
import { pageOf } from './page.js';

const MOST_CUSTOM = 10;

const targeted = attribute.extend({ targetType: z.enum(['container-instance']).optional(), targetId: text.optional() });

const putAttributes = operation(
  z.object({ cluster, attributes: z.array(targeted).min(1).max(10) }),
  async (api, input) => {
    const { name } = await requireCluster(api, input.cluster);
    const byTarget = groupByTarget(api, name, input.attributes);
    for (const id of byTarget.keys()) await requireTarget(api, name, id);
    for (const [id, attributes] of byTarget) {
      await api.context.state.instances.update(name, id, (instance) => {
        const merged = mergeAttributes(
          instance.attributes,
          attributes.map(({ name, value }) => ({ name, value })),
        );
        if (merged.filter((item) => !item.name.startsWith('ecs.')).length > MOST_CUSTOM) {
          throw new EcsError(
            'AttributeLimitExceededException',
            `A container instance has at most ${String(MOST_CUSTOM)} custom attributes.`,
          );
        }
        return { ...instance, attributes: merged, version: instance.version + 1 };
      });
    }
    await api.clusterChanged(name);
    return { attributes: views(api, name, byTarget) };
  },
);

const deleteAttributes = operation(
  z.object({ cluster, attributes: z.array(targeted).min(1).max(10) }),
  async (api, input) => {
    const { name } = await requireCluster(api, input.cluster);
    const byTarget = groupByTarget(api, name, input.attributes);
    for (const id of byTarget.keys()) await requireTarget(api, name, id);
    for (const [id, attributes] of byTarget) {
      const gone = new Set(attributes.map((item) => item.name));
      await api.context.state.instances.update(name, id, (instance) => ({
        ...instance,
        attributes: instance.attributes.filter((item) => !gone.has(item.name)),
        version: instance.version + 1,
      }));
    }
    return { attributes: views(api, name, byTarget) };
  },
);

const listAttributes = operation(
  z.object({
    cluster,
    targetType: z.enum(['container-instance']),
    attributeName: text.optional(),
    attributeValue: text.optional(),
    nextToken,
    maxResults: maxResults(),
  }),
  async (api, input) => {
    const { name } = await requireCluster(api, input.cluster);
    const instances = await api.context.state.instances.all(name);
    const rows = instances
      .filter((instance) => instance.status !== 'INACTIVE')
      .flatMap((instance) =>
        instance.attributes.map((item) => ({ ...item, targetId: instance.arn, sort: `${instance.id}#${item.name}` })),
      )
      .filter((row) => input.attributeName === undefined || row.name === input.attributeName)
      .filter((row) => input.attributeValue === undefined || row.value === input.attributeValue);
    const page = pageOf(rows, (row) => row.sort, input);
    return {
      attributes: page.items.map(({ name, value, targetId }) => ({
        name,
        value,
        targetId,
        targetType: 'container-instance',
      })),
      nextToken: page.nextToken,
    };
  },
);

type Targeted = z.infer<typeof targeted>;

function groupByTarget(api: Api, cluster: string, attributes: readonly Targeted[]): Map<string, Targeted[]> {
  const groups = new Map<string, Targeted[]>();
  for (const item of attributes) {
    if (item.targetId === undefined) throw invalidParameter(`Attribute ${item.name} needs a targetId.`);
    const id = api.context.arns.shortName('container-instance', item.targetId, cluster);
    groups.set(id, [...(groups.get(id) ?? []), item]);
  }
  return groups;
}

async function requireTarget(api: Api, cluster: string, id: string): Promise<InstanceState> {
  const instance = await api.context.state.instances.get(cluster, id);
  if (instance === undefined || instance.status === 'INACTIVE') {
    throw new EcsError('TargetNotFoundException', `The container instance ${id} was not found.`);
  }
  return instance;
}

function views(api: Api, cluster: string, byTarget: ReadonlyMap<string, readonly Targeted[]>): object[] {
  return [...byTarget].flatMap(([id, attributes]) =>
    attributes.map(({ name, value }) => ({
      name,
      value,
      targetType: 'container-instance',
      targetId: api.context.arns.instance(cluster, id),
    })),
  );
}

export const attributeOperations: Readonly<Record<string, Operation>> = {
  PutAttributes: putAttributes,
  DeleteAttributes: deleteAttributes,
  ListAttributes: listAttributes,
};
