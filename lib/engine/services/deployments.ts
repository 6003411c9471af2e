/** The making of deployments: a new PRIMARY beside what was there, or an earlier one brought back. Pure functions. */
import type { Ids } from '../../store/index.js';
import type { CapacityProviderStrategyItem, LoadBalancer } from '../state/model.js';
import type { DeploymentState, ServiceConnectState, ServiceState } from '../state/service-model.js';

export interface DeploymentTarget {
  readonly taskDefinitionArn: string;
  readonly loadBalancers: readonly LoadBalancer[];
  /** Empty or absent for launch type EC2. */
  readonly capacityProviderStrategy?: readonly CapacityProviderStrategyItem[] | undefined;
  readonly serviceConnect?: ServiceConnectState | undefined;
}

/** @param id `ecs-svc/` and 19 digits; its parts are drawn from `ids` */
export function newDeployment(
  ids: Ids,
  nowMs: number,
  target: DeploymentTarget,
  desiredCount: number,
  reason?: string,
): DeploymentState {
  const id = `ecs-svc/${digits(ids)}`;
  return {
    id,
    status: 'PRIMARY',
    taskDefinitionArn: target.taskDefinitionArn,
    loadBalancers: target.loadBalancers,
    capacityProviderStrategy: target.capacityProviderStrategy ?? [],
    ...(target.serviceConnect === undefined ? {} : { serviceConnect: target.serviceConnect }),
    desiredCount,
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
    failedTasks: 0,
    rolloutState: 'IN_PROGRESS',
    rolloutStateReason: reason ?? `ECS deployment ${id} in progress.`,
    serviceDeploymentId: ids.hex(10),
    revisionId: digits(ids),
  };
}

/** The service with this deployment as PRIMARY; the PRIMARY before it goes on as ACTIVE until its tasks are gone. */
export function withPrimary(service: ServiceState, primary: DeploymentState, nowMs: number): ServiceState {
  const others = service.deployments
    .filter((deployment) => deployment.id !== primary.id)
    .map((deployment): DeploymentState => ({
      ...deployment,
      status: 'ACTIVE',
      updatedAtMs: deployment.status === 'PRIMARY' ? nowMs : deployment.updatedAtMs,
    }));
  return {
    ...service,
    taskDefinitionArn: primary.taskDefinitionArn,
    loadBalancers: primary.loadBalancers,
    capacityProviderStrategy: primary.capacityProviderStrategy ?? [],
    deployments: [{ ...primary, status: 'PRIMARY' }, ...others],
    launchFailures: 0,
    launchNotBeforeMs: 0,
    steady: false,
  };
}

export function primaryOf(service: ServiceState): DeploymentState | undefined {
  return service.deployments.find((deployment) => deployment.status === 'PRIMARY');
}

/** The service with its PRIMARY changed. */
export function changePrimary(
  service: ServiceState,
  change: (primary: DeploymentState) => DeploymentState,
): ServiceState {
  return {
    ...service,
    deployments: service.deployments.map((deployment) =>
      deployment.status === 'PRIMARY' ? change(deployment) : deployment,
    ),
  };
}

/** 19 digits, the first not 0. */
function digits(ids: Ids): string {
  const number = BigInt(`0x${ids.hex(8)}`) % 9_000_000_000_000_000_000n;
  return String(number + 1_000_000_000_000_000_000n);
}
