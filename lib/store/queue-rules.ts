/** What every Queue refuses, and its common numbers. */
import { AppError } from '../errors/index.js';

/** Seconds for which a message with the same dedupe id is dropped. */
export const DEDUPE_SECONDS = 300;
export const MAX_RECEIVE = 10;
const MAX_BODY_BYTES = 256 * 1024;
const MAX_DELAY_SECONDS = 900;

/** @throws AppError MESSAGE_TOO_LARGE or MESSAGE_INVALID */
export function checkSend(body: string, delaySeconds = 0): void {
  const bytes = Buffer.byteLength(body);
  if (bytes > MAX_BODY_BYTES) {
    throw new AppError('MESSAGE_TOO_LARGE', `a message of ${bytes} bytes`, {
      kind: 'too-large',
      hint: `at most ${MAX_BODY_BYTES} bytes; put the rest into a record or a blob`,
    });
  }
  if (bytes === 0) throw new AppError('MESSAGE_INVALID', 'a message without a body', { hint: 'at least one byte' });
  if (!Number.isInteger(delaySeconds) || delaySeconds < 0 || delaySeconds > MAX_DELAY_SECONDS) {
    throw new AppError('MESSAGE_INVALID', `a delay of ${delaySeconds} seconds`, {
      hint: `whole seconds, 0 to ${MAX_DELAY_SECONDS}`,
    });
  }
}
