/**
 * Capacity providers are kept and associated with clusters so that tools that set them up work. Nothing scales by them:
 * a launch that asks for one is refused by name (see `launch-input.ts`).
 */
import * as z from 'zod';
import { shortName } from '../arn.js';
import { EcsError, invalidParameter } from '../ecs-error.js';
import type { CapacityProviderState } from '../state/side-model.js';
import { cluster, maxResults, nextToken, resourceName, strings, tags, text } from './input.js';
import { operation, type Failure, type Operation } from './operation.js';
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
    if (input.managedInstancesProvider !== undefined) {
      throw new EcsError('UnsupportedFeatureException', 'managedInstancesProvider is not supported by this engine.');
    }
    if (input.autoScalingGroupProvider === undefined) throw invalidParameter('autoScalingGroupProvider is required.');
    const state: CapacityProviderState = {
      name: input.name,
      arn: api.context.arns.capacityProvider(input.name),
      status: 'ACTIVE',
      autoScalingGroupProvider: input.autoScalingGroupProvider,
      tags: input.tags ?? [],
    };
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
      const page = pageOf(all, (item) => item.name, input);
      return {
        capacityProviders: page.items.map((item) => view(item, withTags)),
        nextToken: page.nextToken,
        failures: [],
      };
    }
    const failures: Failure[] = [];
    const found: object[] = [];
    for (const asked of input.capacityProviders) {
      const name = shortName('capacity-provider', asked);
      const item = all.find((candidate) => candidate.name === name);
      if (item === undefined) failures.push({ arn: api.context.arns.capacityProvider(name), reason: 'MISSING' });
      else found.push(view(item, withTags));
    }
    return { capacityProviders: found, failures };
  },
);

const updateCapacityProvider = operation(
  z.object({ name: text, autoScalingGroupProvider: providerUpdate.optional(), cluster }),
  async (api, input) => {
    const name = shortName('capacity-provider', input.name);
    const after = await api.context.state.providers.update('', name, (now) => ({
      ...now,
      autoScalingGroupProvider: { ...now.autoScalingGroupProvider, ...input.autoScalingGroupProvider },
    }));
    if (after === undefined) throw invalidParameter(`The specified capacity provider '${name}' was not found.`);
    return { capacityProvider: view(after, true) };
  },
);

const deleteCapacityProvider = operation(z.object({ capacityProvider: text, cluster }), async (api, input) => {
  const name = shortName('capacity-provider', input.capacityProvider);
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

function view(item: CapacityProviderState, withTags: boolean): object {
  return {
    capacityProviderArn: item.arn,
    name: item.name,
    status: item.status,
    autoScalingGroupProvider: item.autoScalingGroupProvider,
    tags: withTags ? item.tags : [],
  };
}

export const capacityProviderOperations: Readonly<Record<string, Operation>> = {
  CreateCapacityProvider: createCapacityProvider,
  DescribeCapacityProviders: describeCapacityProviders,
  UpdateCapacityProvider: updateCapacityProvider,
  DeleteCapacityProvider: deleteCapacityProvider,
};
