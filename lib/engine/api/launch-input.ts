/** What RunTask, StartTask and CreateService ask for in common, and what of it this engine refuses by name. */
import type { AgentAbilities } from '../agent/types.js';
import { checkEnvironmentFiles } from './runtime-rules.js';
import { isBeyond } from './runtime-support.js';
import { checkStrategy } from '../capacity/strategy.js';
import { EcsError, clientError, invalidParameter } from '../ecs-error.js';
import { parseQuery } from '../placement/query.js';
import { checkStrategies } from '../placement/strategy.js';
import { gpuCount } from '../tasks/sizes.js';
import type {
  CapacityProviderStrategyItem,
  ClusterState,
  NetworkConfiguration,
  PlacementConstraintState,
  PlacementStrategyState,
  TaskDefinitionState,
} from '../state/model.js';
import type { TaskOverrideInput } from './task-definition-input.js';

interface LaunchAsk {
  readonly launchType?: string | undefined;
  readonly capacityProviderStrategy?: readonly unknown[] | undefined;
  readonly volumeConfigurations?: readonly unknown[] | undefined;
  readonly platformVersion?: string | undefined;
}

/** @throws InvalidParameterException, ClientException or UnsupportedFeatureException */
export function refuseLaunch(ask: LaunchAsk): void {
  if (ask.launchType !== undefined && ask.capacityProviderStrategy !== undefined) {
    throw invalidParameter('Specify either launchType or capacityProviderStrategy, not both.');
  }
  if (ask.launchType !== undefined && ask.launchType !== 'EC2') {
    throw new EcsError('UnsupportedFeatureException', `launchType ${ask.launchType} is not supported: only EC2 is.`);
  }
  if (ask.volumeConfigurations !== undefined && ask.volumeConfigurations.length > 0) {
    throw new EcsError('UnsupportedFeatureException', 'volumeConfigurations: EBS volumes are not supported.');
  }
  if (ask.platformVersion !== undefined)
    throw invalidParameter('The platform version must be null for launch type EC2.');
}

/**
 * The strategy a launch follows: its own, or the cluster's default unless it names a launch type; empty for EC2.
 * @throws InvalidParameterException; ClientException for FARGATE
 */
export function strategyFor(
  ask: { readonly launchType?: string | undefined; readonly capacityProviderStrategy?: Strategy | undefined },
  cluster: ClusterState,
): Strategy {
  const asked = ask.capacityProviderStrategy ?? [];
  checkStrategy(asked, cluster);
  if (asked.length > 0 || ask.launchType !== undefined) return asked;
  return cluster.defaultCapacityProviderStrategy;
}

export type Strategy = readonly CapacityProviderStrategyItem[];

/**
 * What awsvpc tasks carry, and no others. Subnets and groups are kept and shown; the machine has one network.
 * @throws InvalidParameterException
 */
export function checkNetworkConfiguration(
  definition: TaskDefinitionState,
  asked: NetworkConfiguration | undefined,
): NetworkConfiguration | undefined {
  const subnets = asked?.awsvpcConfiguration?.subnets ?? [];
  if (definition.definition.networkMode !== 'awsvpc') {
    if (asked === undefined) return undefined;
    throw invalidParameter('Network Configuration is not valid for the given networkMode of this task definition.');
  }
  if (asked?.awsvpcConfiguration === undefined) {
    throw invalidParameter("Network Configuration must be provided when networkMode 'awsvpc' is specified.");
  }
  if (subnets.length === 0) throw invalidParameter('subnets can not be empty.');
  if (subnets.length > 16) throw invalidParameter('At most 16 subnets may be given.');
  if (asked.awsvpcConfiguration.assignPublicIp === 'ENABLED') {
    throw invalidParameter('Assign public IP is not supported for this launch type.');
  }
  return asked;
}

/** Fields that do not fit their type, and expressions that do not parse. */
export function checkPlacement(
  constraints: readonly PlacementConstraintState[],
  strategies: readonly PlacementStrategyState[],
): void {
  for (const constraint of constraints) {
    if (constraint.type === 'memberOf') parseQuery(constraint.expression ?? '');
    else if (constraint.expression !== undefined && constraint.expression !== '') {
      throw invalidParameter('The constraint distinctInstance takes no expression.');
    }
  }
  checkStrategies(strategies);
}

const MOST_CONSTRAINTS = 10;

/** Those of the task definition and those of the request count together. @throws InvalidParameterException */
export function checkConstraintCount(
  definition: TaskDefinitionState,
  asked: readonly PlacementConstraintState[] = [],
): void {
  const own = definition.definition.placementConstraints.length;
  if (own + asked.length <= MOST_CONSTRAINTS) return;
  throw invalidParameter(
    `A task has at most ${String(MOST_CONSTRAINTS)} placement constraints: the task definition has ${String(own)}, the request ${String(asked.length)}.`,
  );
}

/** Overrides must name containers that exist, and ask for nothing the runtime does not do. */
export function checkOverrides(
  definition: TaskDefinitionState,
  overrides: TaskOverrideInput,
  abilities: AgentAbilities | undefined,
): void {
  for (const override of overrides.containerOverrides ?? []) {
    const known = definition.definition.containerDefinitions.some((container) => container.name === override.name);
    if (!known)
      throw invalidParameter(
        `Override for container named ${override.name ?? ''} is not a container in the TaskDefinition.`,
      );
    checkEnvironmentFiles(override.environmentFiles);
    if ((override.environmentFiles?.length ?? 0) > 0 && abilities?.objects !== true) {
      throw clientError('containerOverrides.environmentFiles is not supported by this engine: use environment.');
    }
    if (isBeyond(override.resourceRequirements, abilities?.gpus === true)) {
      throw clientError('containerOverrides.resourceRequirements is not supported by this engine: no GPU here.');
    }
    gpuCount(override.resourceRequirements);
  }
  if (overrides.ephemeralStorage !== undefined) throw clientError('overrides.ephemeralStorage is a Fargate setting.');
  if (overrides.inferenceAcceleratorOverrides !== undefined && overrides.inferenceAcceleratorOverrides.length > 0) {
    throw clientError('overrides.inferenceAcceleratorOverrides is not supported by this engine.');
  }
}
