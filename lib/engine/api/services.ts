/** Services: create, change, delete. What follows from the record is the scheduler's work; queries are next door. */
import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import { EcsError, clientError, invalidParameter, serviceNotFound } from '../ecs-error.js';
import { changePrimary, newDeployment, primaryOf, withPrimary } from '../services/deployments.js';
import { definitionByArn } from '../services/launch-service.js';
import { deploymentEvent, type News } from '../services/news.js';
import { changeService, writeService } from '../services/service-changes.js';
import { serviceConnectInput, serviceConnectOf } from '../services/service-connect.js';
import type { LoadBalancer, TaskDefinitionState } from '../state/model.js';
import type { ServiceState } from '../state/service-model.js';
import { cluster, parseInput, text } from './input.js';
import {
  checkConstraintCount,
  checkNetworkConfiguration,
  checkPlacement,
  refuseLaunch,
  strategyFor,
  type Strategy,
} from './launch-input.js';
import { operation, requireCluster, type Api, type Operation } from './operation.js';
import {
  NO_BREAKER,
  breakerOf,
  checkLoadBalancers,
  checkPercents,
  createServiceInput,
  refuseServiceFeatures,
  updateServiceInput,
  type ServiceChange,
} from './service-input.js';
import { serviceView } from './service-view.js';
import { requireActiveTaskDefinition } from './task-definitions.js';
import { hashOf } from './tasks.js';

const MOST_SERVICES = 5000;

const createService = operation(createServiceInput, async (api, input) => {
  const { arns, deps } = api.context;
  const owner = await requireCluster(api, input.cluster);
  refuseLaunch(input);
  refuseServiceFeatures(input);
  const daemon = input.schedulingStrategy === 'DAEMON';
  if (input.taskDefinition === undefined) throw invalidParameter('TaskDefinition can not be blank.');
  if (!daemon && input.desiredCount === undefined)
    throw invalidParameter('desiredCount is required for REPLICA services.');
  if (daemon && input.desiredCount !== undefined) {
    throw invalidParameter('The daemon scheduling strategy does not support a desired count for services.');
  }
  if (daemon && (input.placementStrategy?.length ?? 0) > 0) {
    throw invalidParameter('The daemon scheduling strategy does not support placement strategies.');
  }
  if (daemon && (input.capacityProviderStrategy?.length ?? 0) > 0) {
    throw invalidParameter(
      'Specifying a capacity provider strategy is not supported when you create a service using the DAEMON scheduling strategy.',
    );
  }
  checkPlacement(input.placementConstraints ?? [], input.placementStrategy ?? []);
  const definition = await requireActiveTaskDefinition(api, input.taskDefinition);
  checkConstraintCount(definition, input.placementConstraints);
  const loadBalancers = requireLoadBalancers(api, input.loadBalancers ?? [], definition);
  const network = checkNetworkConfiguration(definition, input.networkConfiguration);
  const capacityProviderStrategy = daemon ? [] : strategyFor(input, owner);
  const creationHash = hashOf(input);
  const nowMs = deps.clock.nowMs();
  const bare: ServiceState = {
    name: input.serviceName,
    arn: arns.service(owner.name, input.serviceName),
    clusterName: owner.name,
    clusterArn: owner.arn,
    status: 'ACTIVE',
    schedulingStrategy: input.schedulingStrategy,
    desiredCount: input.desiredCount ?? 0,
    taskDefinitionArn: definition.arn,
    loadBalancers,
    ...(network === undefined ? {} : { networkConfiguration: network }),
    minimumHealthyPercent: daemon ? 0 : 100,
    maximumPercent: daemon ? 100 : 200,
    circuitBreaker: NO_BREAKER,
    placementConstraints: input.placementConstraints ?? [],
    placementStrategy: input.placementStrategy ?? [],
    healthCheckGracePeriodSeconds: input.healthCheckGracePeriodSeconds ?? 0,
    enableECSManagedTags: input.enableECSManagedTags ?? false,
    enableExecuteCommand: input.enableExecuteCommand ?? false,
    propagateTags: input.propagateTags ?? 'NONE',
    tags: input.tags ?? [],
    createdAtMs: nowMs,
    deployments: [],
    launchFailures: 0,
    launchNotBeforeMs: 0,
    steady: false,
    creationHash,
  };
  const configured = withConfiguration(bare, input);
  const deployment = newDeployment(
    deps.ids,
    nowMs,
    {
      taskDefinitionArn: definition.arn,
      loadBalancers,
      capacityProviderStrategy,
      serviceConnect: serviceConnectOf(input.serviceConnectConfiguration, definition, owner),
    },
    configured.desiredCount,
  );
  const service = withPrimary(configured, deployment, nowMs);
  const standing = await createOrFind(api, service);
  api.scheduler.wake(owner.name, service.name);
  return { service: await serviceView(api.context, standing, true) };
});

/** @throws InvalidParameterException when another service of that name is there */
async function createOrFind(api: Api, service: ServiceState): Promise<ServiceState> {
  const { state } = api.context;
  const { clusterName, name } = service;
  const existing = await state.services.stored(clusterName, name);
  if (existing?.value.status === 'DRAINING')
    throw invalidParameter('Unable to Start a service that is still Draining.');
  if (existing?.value.status === 'ACTIVE') {
    // A retry of the same request finds what the first try made.
    if (existing.value.creationHash === service.creationHash) return existing.value;
    throw invalidParameter('Creation of service was not idempotent.');
  }
  if ((await state.services.all(clusterName)).length >= MOST_SERVICES) {
    throw clientError(`A cluster has at most ${String(MOST_SERVICES)} services.`);
  }
  const expect = existing === undefined ? 'absent' : { version: existing.version };
  const written = await writeService(api.context, { service, news: [begun(service, undefined)] }, expect);
  return written ? service : createOrFind(api, service);
}

const updateService = operation(updateServiceInput, async (api, input) => {
  const { deps, state } = api.context;
  const owner = await requireCluster(api, input.cluster);
  const name = api.context.arns.shortName('service', input.service, owner.name);
  const before = await state.services.get(owner.name, name);
  if (before === undefined) throw serviceNotFound();
  if (before.status !== 'ACTIVE') throw notActive();
  refuseLaunch(input);
  refuseServiceFeatures(input);
  if (before.schedulingStrategy === 'DAEMON' && (input.capacityProviderStrategy?.length ?? 0) > 0) {
    throw invalidParameter('The daemon scheduling strategy does not support capacity provider strategies.');
  }
  if (before.schedulingStrategy === 'DAEMON' && input.desiredCount !== undefined) {
    throw invalidParameter('The daemon scheduling strategy does not support a desired count for services.');
  }
  checkPlacement(input.placementConstraints ?? [], input.placementStrategy ?? []);
  const definition = await definitionFor(api, before, input);
  checkConstraintCount(definition, input.placementConstraints ?? before.placementConstraints);
  const loadBalancers = requireLoadBalancers(api, input.loadBalancers ?? before.loadBalancers, definition);
  const capacityProviderStrategy =
    input.capacityProviderStrategy === undefined
      ? (before.capacityProviderStrategy ?? [])
      : strategyFor({ ...input, launchType: 'EC2' }, owner);
  const asked =
    input.serviceConnectConfiguration ??
    parseInput(serviceConnectInput.optional(), primaryOf(before)?.serviceConnect?.configuration);
  const serviceConnect = serviceConnectOf(asked, definition, owner);
  const target = { taskDefinitionArn: definition.arn, loadBalancers, capacityProviderStrategy, serviceConnect };
  // One that is left from an earlier, awsvpc definition says nothing about another.
  const kept = definition.definition.networkMode === 'awsvpc' ? before.networkConfiguration : undefined;
  const network = checkNetworkConfiguration(definition, input.networkConfiguration ?? kept);
  const nowMs = deps.clock.nowMs();
  const after = await changeService(api.context, owner.name, name, (now) => {
    if (now.status !== 'ACTIVE') throw notActive();
    const { networkConfiguration: networkBefore, ...rest } = now;
    const connected = network === undefined ? rest : { ...rest, networkConfiguration: network };
    const configured = withConfiguration({ ...connected, steady: false }, input);
    const primary = primaryOf(now);
    const rolls =
      input.forceNewDeployment === true ||
      primary?.taskDefinitionArn !== target.taskDefinitionArn ||
      JSON.stringify(primary.loadBalancers) !== JSON.stringify(target.loadBalancers) ||
      !isDeepStrictEqual(primary.serviceConnect, serviceConnect) ||
      JSON.stringify(networkBefore) !== JSON.stringify(network);
    if (!rolls) return { service: withStrategy(configured, capacityProviderStrategy), news: [] };
    const superseded = primary?.rolloutState === 'IN_PROGRESS' ? primary : undefined;
    const deployment = newDeployment(deps.ids, nowMs, target, configured.desiredCount);
    const next = withPrimary(configured, deployment, nowMs);
    const news: News[] = [begun(next, primary?.revisionId)];
    if (superseded !== undefined) {
      const reason = 'Superseded by a newer deployment.';
      news.push({ history: { deployment: superseded, status: 'STOPPED', reason } });
    }
    return { service: next, news };
  });
  if (after === undefined) throw serviceNotFound();
  api.scheduler.wake(owner.name, name);
  return { service: await serviceView(api.context, after, true) };
});

/** A strategy makes no deployment: tasks that are started from now on follow it, those that run stay where they are. */
function withStrategy(service: ServiceState, capacityProviderStrategy: Strategy): ServiceState {
  const { lastCompleted } = service;
  const next = changePrimary(service, (primary) => ({ ...primary, capacityProviderStrategy }));
  const isCompleted = lastCompleted?.deploymentId === primaryOf(service)?.id;
  return {
    ...next,
    capacityProviderStrategy,
    ...(lastCompleted === undefined || !isCompleted
      ? {}
      : { lastCompleted: { ...lastCompleted, capacityProviderStrategy } }),
  };
}

/** The definition the service is to run: the one asked for, or the one it has even if that is INACTIVE by now. */
async function definitionFor(api: Api, service: ServiceState, input: ServiceChange): Promise<TaskDefinitionState> {
  if (input.taskDefinition !== undefined) return requireActiveTaskDefinition(api, input.taskDefinition);
  const own = await definitionByArn(api.context, service.taskDefinitionArn);
  if (own === undefined) throw clientError('TaskDefinition not found.');
  return own;
}

const deleteService = operation(
  z.object({ cluster, service: text.min(1), force: z.boolean().optional() }),
  async (api, input) => {
    const { state } = api.context;
    const owner = await requireCluster(api, input.cluster);
    const name = api.context.arns.shortName('service', input.service, owner.name);
    const after = await state.services.update(owner.name, name, (now) => {
      if (now.status !== 'ACTIVE') return undefined;
      if (input.force !== true && now.schedulingStrategy === 'REPLICA' && now.desiredCount > 0) {
        throw invalidParameter('The service cannot be stopped while it is scaled above 0.');
      }
      return { ...now, status: 'DRAINING', desiredCount: 0, steady: false };
    });
    if (after === undefined || after.status === 'INACTIVE') throw serviceNotFound();
    api.scheduler.wake(owner.name, name);
    return { service: await serviceView(api.context, after, true) };
  },
);

/** Everything but the task definition and the load balancers, which make a deployment. */
function withConfiguration(service: ServiceState, input: ServiceChange): ServiceState {
  const configuration = input.deploymentConfiguration;
  const next: ServiceState = {
    ...service,
    desiredCount: input.desiredCount ?? service.desiredCount,
    minimumHealthyPercent: configuration?.minimumHealthyPercent ?? service.minimumHealthyPercent,
    maximumPercent: configuration?.maximumPercent ?? service.maximumPercent,
    circuitBreaker: breakerOf(configuration?.deploymentCircuitBreaker, service.circuitBreaker),
    placementConstraints: input.placementConstraints ?? service.placementConstraints,
    placementStrategy: input.placementStrategy ?? service.placementStrategy,
    healthCheckGracePeriodSeconds: input.healthCheckGracePeriodSeconds ?? service.healthCheckGracePeriodSeconds,
    enableECSManagedTags: input.enableECSManagedTags ?? service.enableECSManagedTags,
    enableExecuteCommand: input.enableExecuteCommand ?? service.enableExecuteCommand,
    propagateTags: input.propagateTags ?? service.propagateTags,
  };
  if (configuration !== undefined) {
    checkPercents(next.minimumHealthyPercent, next.maximumPercent, service.schedulingStrategy === 'DAEMON');
  }
  return next;
}

function requireLoadBalancers(
  api: Api,
  input: NonNullable<ServiceChange['loadBalancers']> | readonly LoadBalancer[],
  definition: TaskDefinitionState,
): LoadBalancer[] {
  if (input.length > 0 && api.context.deps.targetGroups === undefined) {
    throw new EcsError('UnsupportedFeatureException', 'loadBalancers: this engine runs without target groups.');
  }
  return checkLoadBalancers([...input], definition);
}

function begun(service: ServiceState, sourceRevisionId: string | undefined): News {
  const primary = primaryOf(service);
  if (primary === undefined) return {};
  return {
    begun: { deployment: primary, sourceRevisionId },
    event: deploymentEvent(primary, 'SERVICE_DEPLOYMENT_IN_PROGRESS', primary.rolloutStateReason),
  };
}

const notActive = (): EcsError => new EcsError('ServiceNotActiveException', 'Service was not ACTIVE.');

export const serviceOperations: Readonly<Record<string, Operation>> = {
  CreateService: createService,
  UpdateService: updateService,
  DeleteService: deleteService,
};
