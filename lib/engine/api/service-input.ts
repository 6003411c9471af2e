/** CreateService's and UpdateService's input, and what of it is refused by name. */
import * as z from 'zod';
import { EcsError, invalidParameter } from '../ecs-error.js';
import { serviceConnectInput } from '../services/service-connect.js';
import type { LoadBalancer, TaskDefinitionState } from '../state/model.js';
import type { CircuitBreaker } from '../state/service-model.js';
import {
  capacityProviderStrategy,
  cluster,
  flag,
  placementConstraints,
  placementStrategy,
  resourceName,
  tags,
  text,
  networkConfiguration,
} from './input.js';

const percent = z.int().min(0);
const thing = z.looseObject({});
const things = z.array(thing);

const deploymentConfiguration = z.object({
  deploymentCircuitBreaker: z
    .object({
      enable: flag,
      rollback: flag,
      thresholdConfiguration: z
        .object({ type: z.enum(['COUNT', 'BOUNDED_PERCENT', 'UNBOUNDED_PERCENT']), value: z.int().min(1) })
        .optional(),
      resetOnHealthyTask: flag.optional(),
    })
    .optional(),
  maximumPercent: percent.optional(),
  minimumHealthyPercent: percent.optional(),
  alarms: z.object({ alarmNames: z.array(text), enable: flag, rollback: flag }).optional(),
  strategy: z.enum(['ROLLING', 'BLUE_GREEN', 'LINEAR', 'CANARY']).optional(),
  bakeTimeInMinutes: z.int().optional(),
  lifecycleHooks: things.optional(),
  linearConfiguration: thing.optional(),
  canaryConfiguration: thing.optional(),
  earlySuccessCriteria: z.looseObject({ enable: flag }).optional(),
});

const loadBalancers = z.array(
  z.object({
    targetGroupArn: text.optional(),
    loadBalancerName: text.optional(),
    containerName: text.optional(),
    containerPort: z.int().min(1).max(65_535).optional(),
    advancedConfiguration: thing.optional(),
  }),
);

const changeable = {
  cluster,
  desiredCount: z.int().min(0).max(5000).optional(),
  taskDefinition: text.optional(),
  availabilityZoneRebalancing: z.enum(['ENABLED', 'DISABLED']).optional(),
  capacityProviderStrategy: capacityProviderStrategy.optional(),
  deploymentConfiguration: deploymentConfiguration.optional(),
  networkConfiguration: networkConfiguration.optional(),
  placementConstraints: placementConstraints.optional(),
  placementStrategy: placementStrategy.optional(),
  platformVersion: text.optional(),
  healthCheckGracePeriodSeconds: z.int().min(0).optional(),
  deploymentController: z.object({ type: z.enum(['ECS', 'CODE_DEPLOY', 'EXTERNAL']) }).optional(),
  enableExecuteCommand: flag.optional(),
  enableECSManagedTags: flag.optional(),
  loadBalancers: loadBalancers.optional(),
  propagateTags: z.enum(['TASK_DEFINITION', 'SERVICE', 'NONE']).optional(),
  serviceRegistries: things.optional(),
  serviceConnectConfiguration: serviceConnectInput.optional(),
  volumeConfigurations: things.optional(),
  vpcLatticeConfigurations: things.optional(),
  gatewayConnectors: things.optional(),
  monitoring: thing.optional(),
};

export const createServiceInput = z.object({
  ...changeable,
  serviceName: resourceName,
  launchType: text.optional(),
  role: text.optional(),
  schedulingStrategy: z.enum(['REPLICA', 'DAEMON']).default('REPLICA'),
  clientToken: z
    .string()
    .max(36)
    .regex(/^[\x21-\x7e]*$/, 'characters 33 to 126')
    .optional(),
  tags: tags.optional(),
});

export const updateServiceInput = z.object({
  ...changeable,
  service: text.min(1),
  forceNewDeployment: flag.optional(),
});

export type ServiceChange = Omit<z.infer<typeof updateServiceInput>, 'service' | 'cluster'>;

/** @throws UnsupportedFeatureException naming the member */
export function refuseServiceFeatures(input: ServiceChange): void {
  const refuse = (member: string, instead: string): never => {
    throw new EcsError('UnsupportedFeatureException', `${member} is not supported by this engine: ${instead}.`);
  };
  const filled = (list: readonly unknown[] | undefined): boolean => list !== undefined && list.length > 0;
  const configuration = input.deploymentConfiguration;
  if ((input.deploymentController?.type ?? 'ECS') !== 'ECS') {
    refuse(`deploymentController ${input.deploymentController?.type ?? ''}`, 'use ECS');
  }
  if ((configuration?.strategy ?? 'ROLLING') !== 'ROLLING') {
    refuse(`deploymentConfiguration.strategy ${configuration?.strategy ?? ''}`, 'use ROLLING');
  }
  if (configuration?.alarms?.enable === true) refuse('deploymentConfiguration.alarms', 'there is no CloudWatch here');
  if (filled(configuration?.lifecycleHooks)) refuse('deploymentConfiguration.lifecycleHooks', 'leave them out');
  if ((configuration?.bakeTimeInMinutes ?? 0) > 0) refuse('deploymentConfiguration.bakeTimeInMinutes', 'leave it out');
  if (configuration?.earlySuccessCriteria?.enable === true) {
    refuse('deploymentConfiguration.earlySuccessCriteria', 'a deployment is complete when the service is stable');
  }
  if (input.availabilityZoneRebalancing === 'ENABLED') refuse('availabilityZoneRebalancing', 'use DISABLED');
  if (filled(input.serviceRegistries))
    refuse('serviceRegistries', 'there is no Cloud Map here; containers find the service as <service>.<cluster>');
  if (filled(input.vpcLatticeConfigurations)) refuse('vpcLatticeConfigurations', 'use loadBalancers');
  if (filled(input.gatewayConnectors)) refuse('gatewayConnectors', 'there are no gateways here; use loadBalancers');
  if (input.monitoring !== undefined) refuse('monitoring', 'there is no CloudWatch here');
}

/** @throws InvalidParameterException for a port that the task definition does not publish */
export function checkLoadBalancers(
  input: NonNullable<ServiceChange['loadBalancers']>,
  definition: TaskDefinitionState,
): LoadBalancer[] {
  return input.map(({ targetGroupArn, loadBalancerName, containerName, containerPort, advancedConfiguration }) => {
    if (loadBalancerName !== undefined)
      throw invalidParameter('loadBalancerName: classic load balancers are not supported; use targetGroupArn.');
    if (advancedConfiguration !== undefined) {
      throw invalidParameter('advancedConfiguration is for blue/green deployments, which are not supported.');
    }
    if (targetGroupArn === undefined || containerName === undefined || containerPort === undefined) {
      throw invalidParameter('A load balancer needs targetGroupArn, containerName and containerPort.');
    }
    const container = definition.definition.containerDefinitions.find((candidate) => candidate.name === containerName);
    if (container === undefined) {
      throw invalidParameter(`The container ${containerName} does not exist in the task definition.`);
    }
    if (!container.portMappings.some((mapping) => mapping.containerPort === containerPort)) {
      throw invalidParameter(
        `The container ${containerName} did not have a container port ${String(containerPort)} defined.`,
      );
    }
    return { targetGroupArn, containerName, containerPort };
  });
}

export const NO_BREAKER: CircuitBreaker = {
  enable: false,
  rollback: false,
  thresholdType: 'BOUNDED_PERCENT',
  thresholdValue: 50,
  resetOnHealthyTask: true,
};

/** @throws InvalidParameterException for percentages that allow no deployment at all */
export function checkPercents(minimum: number, maximum: number, daemon: boolean): void {
  if (maximum < 100 && !daemon) throw invalidParameter('maximumPercent must be at least 100.');
  if (minimum > 100 && minimum >= maximum) {
    throw invalidParameter('minimumHealthyPercent must be less than maximumPercent.');
  }
  if (minimum === 100 && maximum === 100) {
    throw invalidParameter(
      'Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.',
    );
  }
  if (maximum === 0) throw invalidParameter('maximumPercent must be above 0.');
}

export function breakerOf(
  input: NonNullable<ServiceChange['deploymentConfiguration']>['deploymentCircuitBreaker'],
  before: CircuitBreaker,
): CircuitBreaker {
  if (input === undefined) return before;
  return {
    enable: input.enable,
    rollback: input.rollback,
    thresholdType: input.thresholdConfiguration?.type ?? NO_BREAKER.thresholdType,
    thresholdValue: input.thresholdConfiguration?.value ?? NO_BREAKER.thresholdValue,
    resetOnHealthyTask: input.resetOnHealthyTask ?? true,
  };
}
