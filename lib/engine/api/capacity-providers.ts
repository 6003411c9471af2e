/**
 * Capacity providers: create, describe, change, delete. What they do, and the group behind them that exists only here,
 * is `../capacity`.
 */
import * as z from 'zod';
import { groupOf } from '../capacity/group.js';
import { changedSettings, settingsOf } from '../capacity/provider.js';
import { EcsError, invalidParameter } from '../ecs-error.js';
import type { CapacityProviderState } from '../state/side-model.js';
import { cluster, maxResults, nextToken, resourceName, strings, tags, text } from './input.js';
import { operation, type Api, type Failure, type Operation } from './operation.js';
import { pageOf } from './page.js';

const managedScaling = z.object({
  status: z.enum(['ENABLED', 'DISABLED']).optional(),
  targetCapacity: z.int().min(1).max(100).optional(),
  minimumScalingStepSize: z.int().min(1).max(10_000).optional(),
  maximumScalingStepSize: z.int().min(1).max(10_000).optional(),
  instanceWarmupPeriod: z.int().min(0).max(10_000).optional(),
});
const providerUpdate = z.object({
  managedScaling: managedScaling.optional(),
  managedTerminationProtection: z.enum(['ENABLED', 'DISABLED']).optional(),
  managedDraining: z.enum(['ENABLED', 'DISABLED']).optional(),
});
const provider = providerUpdate.extend({ autoScalingGroupArn: text.min(1) });

const createCapacityProvider = operation(
  z.object({
    name: resourceName.refine((name) => !/^(aws|ecs|fargate)/i.test(name), 'must not begin with aws, ecs or fargate'),
    autoScalingGroupProvider: provider.optional(),
    managedInstancesProvider: z.looseObject({}).optional(),
    cluster,
    tags: tags.optional(),
  }),
  async (api, input) => {
    refuseManagedInstances(input);
    if (input.autoScalingGroupProvider === undefined) throw invalidParameter('autoScalingGroupProvider is required.');
    const state: CapacityProviderState = {
      name: input.name,
      arn: api.context.arns.capacityProvider(input.name),
      status: 'ACTIVE',
      autoScalingGroupProvider: input.autoScalingGroupProvider,
      tags: input.tags ?? [],
    };
    checkProvider(api, state);
    const arn = input.autoScalingGroupProvider.autoScalingGroupArn;
    const all = await api.context.state.providers.all('');
    const user = all.find((each) => each.autoScalingGroupProvider.autoScalingGroupArn === arn);
    if (user !== undefined && user.name !== input.name) {
      throw invalidParameter(
        `The specified Auto Scaling group ARN is already being used by another capacity provider, ${user.name}. Specify a unique Auto Scaling group ARN and try again.`,
      );
    }
    if (!(await api.context.state.providers.create('', input.name, state))) {
      throw invalidParameter(`A capacity provider with the name ${input.name} exists already.`);
    }
    return { capacityProvider: view(state, true) };
  },
);

const describeCapacityProviders = operation(
  z.object({
    capacityProviders: strings.max(100).optional(),
    cluster,
    include: z.array(z.enum(['TAGS'])).optional(),
    maxResults: maxResults(),
    nextToken,
  }),
  async (api, input) => {
    const all = await api.context.state.providers.all('');
    const withTags = input.include !== undefined && input.include.length > 0;
    if (input.capacityProviders === undefined || input.capacityProviders.length === 0) {
      const page = pageOf(all, (item) => item.name, input, 10);
      return {
        capacityProviders: page.items.map((item) => view(item, withTags)),
        nextToken: page.nextToken,
        failures: [],
      };
    }
    const failures: Failure[] = [];
    const found: object[] = [];
    for (const asked of input.capacityProviders) {
      const name = api.context.arns.shortName('capacity-provider', asked);
      const item = all.find((candidate) => candidate.name === name);
      if (item === undefined) failures.push({ arn: api.context.arns.capacityProvider(name), reason: 'MISSING' });
      else found.push(view(item, withTags));
    }
    return { capacityProviders: found, failures };
  },
);

const updateCapacityProvider = operation(
  z.object({
    name: text,
    autoScalingGroupProvider: providerUpdate.optional(),
    managedInstancesProvider: z.looseObject({}).optional(),
    cluster,
  }),
  async (api, input) => {
    refuseManagedInstances(input);
    const name = api.context.arns.shortName('capacity-provider', input.name);
    const after = await api.context.state.providers.update('', name, (now) => {
      const settings = changedSettings(now.autoScalingGroupProvider, input.autoScalingGroupProvider ?? {});
      const next = { ...now, autoScalingGroupProvider: settings };
      checkProvider(api, next);
      return next;
    });
    if (after === undefined) throw invalidParameter(`The specified capacity provider '${name}' was not found.`);
    await providerChanged(api, name);
    return { capacityProvider: view(after, true) };
  },
);

const deleteCapacityProvider = operation(z.object({ capacityProvider: text, cluster }), async (api, input) => {
  const name = api.context.arns.shortName('capacity-provider', input.capacityProvider);
  const { state } = api.context;
  const item = await state.providers.get('', name);
  if (item === undefined) throw invalidParameter(`The specified capacity provider '${name}' was not found.`);
  const user = (await state.clusters.all('')).find((one) => one.capacityProviders.includes(name));
  if (user !== undefined) {
    throw new EcsError(
      'ClientException',
      `The capacity provider ${name} is in use by cluster ${user.name}; PutClusterCapacityProviders without it first.`,
    );
  }
  await state.providers.delete('', name);
  return { capacityProvider: { ...view(item, true), status: 'INACTIVE', updateStatus: 'DELETE_COMPLETE' } };
});

/** @throws UnsupportedFeatureException */
function refuseManagedInstances(input: { readonly managedInstancesProvider?: unknown }): void {
  if (input.managedInstancesProvider === undefined) return;
  throw new EcsError(
    'UnsupportedFeatureException',
    'managedInstancesProvider is not supported by this engine: use autoScalingGroupProvider.',
  );
}

/** @throws InvalidParameterException for settings, or tags of its group, that cannot be */
export function checkProvider(api: Api, state: CapacityProviderState): void {
  groupOf(state.tags, api.context.options);
  const { managedScaling: scaling, managedTerminationProtection } = settingsOf(state);
  if (managedTerminationProtection === 'ENABLED' && scaling.status === 'DISABLED') {
    throw invalidParameter('The managed termination protection setting needs managed scaling to be enabled.');
  }
  if (scaling.minimumScalingStepSize > scaling.maximumScalingStepSize) {
    throw invalidParameter('minimumScalingStepSize must not be above maximumScalingStepSize.');
  }
}

/** The clusters that use it look at their capacity again. */
export async function providerChanged(api: Api, name: string): Promise<void> {
  for (const user of await api.context.state.clusters.all('')) {
    if (user.capacityProviders.includes(name)) await api.clusterChanged(user.name);
  }
}

function view(item: CapacityProviderState, withTags: boolean): object {
  return {
    capacityProviderArn: item.arn,
    name: item.name,
    status: item.status,
    type: 'EC2_AUTOSCALING',
    autoScalingGroupProvider: settingsOf(item),
    tags: withTags ? item.tags : [],
  };
}

export const capacityProviderOperations: Readonly<Record<string, Operation>> = {
  CreateCapacityProvider: createCapacityProvider,
  DescribeCapacityProviders: describeCapacityProviders,
  UpdateCapacityProvider: updateCapacityProvider,
  DeleteCapacityProvider: deleteCapacityProvider,
};
