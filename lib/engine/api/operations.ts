/** The operation table: every operation of the service model, served or refused honestly. */
import { EcsError } from '../ecs-error.js';
import { accountSettingOperations } from './account-settings.js';
import { capacityProviderOperations } from './capacity-providers.js';
import { clusterOperations } from './clusters.js';
import { containerInstanceOperations } from './container-instances.js';
import { attributeOperations } from './instance-attributes.js';
import type { Operation } from './operation.js';
import { serviceDeploymentOperations } from './service-deployments.js';
import { serviceQueryOperations } from './service-queries.js';
import { serviceOperations } from './services.js';
import { tagOperations } from './tags.js';
import { taskDefinitionOperations } from './task-definitions.js';
import { taskQueryOperations } from './task-queries.js';
import { taskOperations } from './tasks.js';

/** Those that exist in ECS and not here, with what to do instead. */
export const REFUSED: Readonly<Record<string, string>> = {
  AssociateGatewayWithCluster: 'there are no gateways here',
  ContinueServiceDeployment: 'deployments have no PAUSE hooks here',
  CreateDaemon: 'use CreateService with schedulingStrategy DAEMON',
  CreateExpressGatewayService: 'use CreateService',
  CreateGateway: 'there are no gateways here',
  CreateTaskSet: 'use a service with the ECS deployment controller',
  DeleteDaemon: 'use DeleteService',
  DeleteDaemonTaskDefinition: 'use DeleteTaskDefinitions',
  DeleteExpressGatewayService: 'use DeleteService',
  DeleteGateway: 'there are no gateways here',
  DeleteTaskSet: 'there are no task sets here',
  DescribeDaemon: 'use DescribeServices',
  DescribeDaemonDeployments: 'use DescribeServiceDeployments',
  DescribeDaemonRevisions: 'use DescribeServiceRevisions',
  DescribeDaemonTaskDefinition: 'use DescribeTaskDefinition',
  DescribeExpressGatewayService: 'use DescribeServices',
  DescribeGateway: 'there are no gateways here',
  DescribeGatewayResources: 'there are no gateways here',
  DescribeGatewayRoute: 'there are no gateways here',
  DescribeTaskSets: 'there are no task sets here',
  DisassociateGatewayFromCluster: 'there are no gateways here',
  DiscoverPollEndpoint: 'agents of other machines cannot join',
  ExecuteCommand: 'its sessions need the SSM protocol; use `wharf exec <task> -- <command>`',
  ListDaemonDeployments: 'use ListServiceDeployments',
  ListDaemonTaskDefinitions: 'use ListTaskDefinitions',
  ListDaemons: 'use ListServices with schedulingStrategy DAEMON',
  ListGatewayClusterAssociations: 'there are no gateways here',
  ListGatewayRoutes: 'there are no gateways here',
  ListGateways: 'there are no gateways here',
  RegisterDaemonTaskDefinition: 'use RegisterTaskDefinition',
  SubmitAttachmentStateChanges: 'agents of other machines cannot join',
  SubmitContainerStateChange: 'agents of other machines cannot join',
  SubmitTaskStateChange: 'agents of other machines cannot join',
  UpdateContainerAgent: 'the agent is part of the engine',
  UpdateDaemon: 'use UpdateService',
  UpdateExpressGatewayService: 'use UpdateService',
  UpdateGateway: 'there are no gateways here',
  UpdateServicePrimaryTaskSet: 'there are no task sets here',
  UpdateTaskSet: 'there are no task sets here',
};

/** Refused operations whose service model has no UnsupportedFeatureException. */
export const WITHOUT_UNSUPPORTED = new Set([
  'DeleteDaemonTaskDefinition',
  'DescribeDaemonTaskDefinition',
  'DiscoverPollEndpoint',
  'ExecuteCommand',
  'ListDaemonTaskDefinitions',
  'RegisterDaemonTaskDefinition',
  'SubmitAttachmentStateChanges',
  'SubmitContainerStateChange',
  'SubmitTaskStateChange',
  'UpdateContainerAgent',
]);

function refusal(name: string, instead: string): Operation {
  const type = WITHOUT_UNSUPPORTED.has(name) ? 'ClientException' : 'UnsupportedFeatureException';
  const message = `${name} is not supported by this engine: ${instead}.`;
  return () => Promise.reject(new EcsError(type, message));
}

export const SERVED: Readonly<Record<string, Operation>> = {
  ...accountSettingOperations,
  ...attributeOperations,
  ...capacityProviderOperations,
  ...clusterOperations,
  ...containerInstanceOperations,
  ...serviceDeploymentOperations,
  ...serviceOperations,
  ...serviceQueryOperations,
  ...tagOperations,
  ...taskDefinitionOperations,
  ...taskOperations,
  ...taskQueryOperations,
};

export const OPERATIONS: ReadonlyMap<string, Operation> = new Map([
  ...Object.entries(REFUSED).map(([name, instead]): [string, Operation] => [name, refusal(name, instead)]),
  ...Object.entries(SERVED),
]);
