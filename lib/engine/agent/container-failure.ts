/**
 * Why a container could not run, with the prefixes the ECS agent gives: people and tools read them in `reason` and
 * `stoppedReason`.
 */
import { AppError } from '../../errors/index.js';

export type FailurePrefix =
  | 'CannotPullContainerError'
  | 'CannotCreateContainerError'
  | 'CannotStartContainerError'
  | 'ContainerVanishedError'
  | 'ResourceInitializationError'
  | 'OutOfMemoryError'
  | 'TaskDependencyError';

export class ContainerFailure extends AppError {
  constructor(
    readonly prefix: FailurePrefix,
    message: string,
    cause?: unknown,
  ) {
    super('CONTAINER_FAILED', `${prefix}: ${message}`, { kind: 'failed', ...(cause === undefined ? {} : { cause }) });
  }
}

/** Does the work; what it throws becomes a failure with this prefix, unless it is one already or the work was aborted. */
export async function failingAs<T>(prefix: FailurePrefix, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ContainerFailure || (signal.aborted && error === signal.reason)) throw error;
    throw new ContainerFailure(prefix, sentence(error), error);
  }
}

function sentence(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error instanceof AppError && error.hint !== undefined ? `${error.message} (${error.hint})` : error.message;
}
