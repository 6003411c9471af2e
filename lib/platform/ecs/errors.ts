/** ECS exceptions as AppErrors: the code keeps ECS's own name, the kind says what a caller can do about it. */
import { AppError, type ErrorKind, errnoCode } from '../../errors/index.js';

const KINDS: Readonly<Record<string, ErrorKind>> = {
  InvalidParameterException: 'invalid',
  ClientException: 'invalid',
  ClusterNotFoundException: 'not-found',
  ServiceNotFoundException: 'not-found',
  ResourceNotFoundException: 'not-found',
  TargetNotFoundException: 'not-found',
  ServiceNotActiveException: 'conflict',
  ConflictException: 'conflict',
  ResourceInUseException: 'conflict',
  UpdateInProgressException: 'conflict',
  ClusterContainsServicesException: 'conflict',
  ClusterContainsTasksException: 'conflict',
  ClusterContainsContainerInstancesException: 'conflict',
  UnsupportedFeatureException: 'unsupported',
  LimitExceededException: 'limited',
  ThrottlingException: 'unavailable',
  ServerException: 'unavailable',
  ServiceUnavailable: 'unavailable',
  TimeoutError: 'unavailable',
};

/** The SDK sometimes wraps a system error and keeps only its text. */
const NETWORK = /\b(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|socket hang up)\b/;

/** ECS's words for a cluster in which no task can have a place. */
const NO_INSTANCE = /^No Container Instances were found/;

/** @param operation for the message, e.g. `RunTask` */
export function toEcsError(error: unknown, operation: string): unknown {
  if (error instanceof AppError || !(error instanceof Error) || error.name === 'AbortError') return error;
  const [network] = NETWORK.exec(`${errnoCode(error) ?? ''} ${error.message}`) ?? [];
  if (network !== undefined) {
    return new AppError('ECS_UNREACHABLE', `ECS ${operation}: ${network}`, { kind: 'unavailable', cause: error });
  }
  const kind = KINDS[error.name] ?? (httpStatus(error) >= 500 ? 'unavailable' : 'internal');
  return new AppError(codeOf(error.name), `ECS ${operation}: ${error.message}`, {
    kind,
    cause: error,
    ...(NO_INSTANCE.test(error.message)
      ? { hint: 'wharf cluster create <cluster> --instances 1, or PUT /v1/clusters/<cluster>, gives it one' }
      : {}),
    details: { operation, ...resourceIds(error) },
  });
}

/** Whether ECS refused with this exception. */
export function isEcsError(error: unknown, ...names: readonly string[]): boolean {
  return error instanceof AppError && names.some((name) => error.code === codeOf(name));
}

function codeOf(name: string): string {
  const words = name.replace(/Exception$/, '').replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2');
  return `ECS_${words.replaceAll(/[^A-Za-z0-9]+/g, '_').toUpperCase()}`;
}

function httpStatus(error: Error): number {
  const metadata: unknown = '$metadata' in error ? error.$metadata : undefined;
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return 0;
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : 0;
}

function resourceIds(error: Error): Record<string, unknown> {
  return 'resourceIds' in error && Array.isArray(error.resourceIds) ? { resourceIds: error.resourceIds } : {};
}
