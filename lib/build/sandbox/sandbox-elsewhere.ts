/** The sandbox of a process that hands builds over: what it is asked to run has to be run by a worker. */
import { AppError } from '../../errors/index.js';
import type { Sandbox } from './sandbox.js';

const NEEDS_WORKER = 'BUILD_NEEDS_WORKER';

export const sandboxElsewhere: Sandbox = {
  // Whether it does is for the worker to say.
  emulates: () => Promise.resolve(true),
  run: () => Promise.reject(new AppError(NEEDS_WORKER, 'RUN needs a container', { kind: 'unavailable' })),
};

export function needsWorker(error: unknown): error is AppError {
  return error instanceof AppError && error.code === NEEDS_WORKER;
}
