import { AppError } from '../lib/errors/index.js';

/** The AppError a call ends with, for tests that look at more than its message. */
export function refusalOf(run: () => unknown): AppError {
  try {
    run();
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}
