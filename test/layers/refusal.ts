/** The AppError a reading is refused with. */
import { AppError } from '../../lib/errors/index.js';

export async function refusal(work: Promise<unknown>): Promise<AppError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof AppError) return error;
  throw new Error('it was not refused by an AppError', { cause: error });
}
