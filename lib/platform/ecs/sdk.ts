/** What of the SDK is needed to call ECS. Loaded with the first call: a function that starts cold has other things to read. */
import { ECSClient } from '@aws-sdk/client-ecs';

export {
  CreateCapacityProviderCommand,
  CreateClusterCommand,
  CreateServiceCommand,
  DeleteCapacityProviderCommand,
  DeleteClusterCommand,
  DeleteServiceCommand,
  DeregisterContainerInstanceCommand,
  DescribeCapacityProvidersCommand,
  DescribeClustersCommand,
  DescribeContainerInstancesCommand,
  DescribeServicesCommand,
  DescribeTaskDefinitionCommand,
  DescribeTasksCommand,
  ListContainerInstancesCommand,
  ListTasksCommand,
  PutClusterCapacityProvidersCommand,
  RegisterContainerInstanceCommand,
  RegisterTaskDefinitionCommand,
  RunTaskCommand,
  StopTaskCommand,
  TagResourceCommand,
  UpdateContainerInstancesStateCommand,
  UpdateServiceCommand,
} from '@aws-sdk/client-ecs';

export interface EcsClientOptions {
  readonly region: string;
  readonly endpoint?: string;
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** After which a call without an answer is given up. @default 30,000 */
  readonly answerMs?: number;
}

const CONNECT_MS = 5_000;

/** An SDK client for this endpoint that leaves retrying to `Ecs`; a call without an answer is given up. */
export function ecsClient({ answerMs = 30_000, ...options }: EcsClientOptions): ECSClient {
  const requestHandler = { connectionTimeout: CONNECT_MS, requestTimeout: answerMs, throwOnRequestTimeout: true };
  return new ECSClient({ ...options, maxAttempts: 1, requestHandler });
}
