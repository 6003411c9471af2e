import { describe, expect, test } from '@jest/globals';
import { AppError, toAppError } from '../../lib/errors/index.js';

describe('an AppError', () => {
  test('is kept as it is', () => {
    const error = new AppError('X', 'y');
    expect(toAppError(error)).toBe(error);
    expect(error).toMatchObject({ code: 'X', message: 'y', kind: 'invalid', retryable: false });
  });

  test('of a full disk is retryable and says that nothing is lost', () => {
    const error = toAppError(Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' }));
    expect(error).toMatchObject({ code: 'STORE_FULL', kind: 'unavailable', retryable: true });
    expect(error.hint).toContain('nothing already acknowledged is lost');
  });

  test.each([new Error('boom'), 'boom'])('is made of anything thrown', (thrown) => {
    expect(toAppError(thrown)).toMatchObject({ code: 'INTERNAL', kind: 'internal', message: 'boom', cause: thrown });
  });
});
