/**
 * Refusals as the ECS wire knows them. Handlers throw these; `api/wire.ts` turns them into a response, and anything
 * else that is thrown becomes a ServerException.
 */
import { AppError, type ErrorKind } from '../errors/index.js';

export type EcsErrorName =
  | 'AttributeLimitExceededException'
  | 'ClientException'
  | 'ClusterContainsContainerInstancesException'
  | 'ClusterContainsServicesException'
  | 'ClusterContainsTasksException'
  | 'ClusterNotFoundException'
  | 'ConflictException'
  | 'InvalidParameterException'
  | 'LimitExceededException'
  | 'ResourceInUseException'
  | 'ResourceNotFoundException'
  | 'SerializationException'
  | 'ServerException'
  | 'ServiceDeploymentNotFoundException'
  | 'ServiceNotActiveException'
  | 'ServiceNotFoundException'
  | 'TargetNotFoundException'
  | 'UnknownOperationException'
  | 'UnsupportedFeatureException';

/** Everything but ServerException is the client's fault and has status 400. */
export class EcsError extends AppError {
  override readonly name = 'EcsError';

  constructor(
    /** The `__type` on the wire. */
    readonly type: EcsErrorName,
    message: string,
    /** Members of the error shape beside `message`, for instance `resourceIds`. */
    readonly members: Readonly<Record<string, unknown>> = {},
  ) {
    super(codeOf(type), message, { kind: kindOf(type), details: members });
  }
}

/** `ClusterNotFoundException` → `ECS_CLUSTER_NOT_FOUND`. */
function codeOf(type: EcsErrorName): string {
  return `ECS_${type
    .replace(/Exception$/, '')
    .replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_')
    .toUpperCase()}`;
}

function kindOf(type: EcsErrorName): ErrorKind {
  if (type === 'ServerException') return 'internal';
  if (type === 'UnsupportedFeatureException' || type === 'UnknownOperationException') return 'unsupported';
  if (type.includes('NotFound')) return 'not-found';
  if (type === 'ConflictException' || type === 'ResourceInUseException') return 'conflict';
  if (type.includes('Limit')) return 'limited';
  return 'invalid';
}

export const invalidParameter = (message: string): EcsError => new EcsError('InvalidParameterException', message);
export const clientError = (message: string): EcsError => new EcsError('ClientException', message);
export const clusterNotFound = (): EcsError => new EcsError('ClusterNotFoundException', 'Cluster not found.');
export const serviceNotFound = (): EcsError => new EcsError('ServiceNotFoundException', 'Service not found.');
