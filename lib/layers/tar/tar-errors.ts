/** Refusals of the tar reader. Each names the entry and its offset in the uncompressed tar. */
import { AppError, type ErrorKind } from '../../errors/index.js';
import { quoteName } from '../tree/path-name.js';

/**
 * TAR_INVALID: not a well-formed tar. TAR_UNSAFE_PATH: a name or link that strict reading refuses.
 * TAR_UNSAFE_ENTRY: an entry that has no place in a build context. TAR_TOO_LARGE: over a limit.
 * TAR_UNSUPPORTED: well-formed, but of a kind we do not read.
 */
export type TarErrorCode = 'TAR_INVALID' | 'TAR_UNSAFE_PATH' | 'TAR_UNSAFE_ENTRY' | 'TAR_TOO_LARGE' | 'TAR_UNSUPPORTED';

export const TAR_ERROR_KIND: Readonly<Record<TarErrorCode, ErrorKind>> = {
  TAR_INVALID: 'invalid',
  TAR_UNSAFE_PATH: 'invalid',
  TAR_UNSAFE_ENTRY: 'invalid',
  TAR_TOO_LARGE: 'too-large',
  TAR_UNSUPPORTED: 'unsupported',
};

export interface TarPlace {
  /** Of the entry's first header block, in bytes. */
  readonly offset: number;
  /** Name of the entry, as far as it is known. */
  readonly name?: string | undefined;
}

export function tarError(code: TarErrorCode, place: TarPlace, problem: string, hint?: string): AppError {
  const entry = place.name === undefined || place.name === '' ? '' : `entry ${quoteName(place.name)} `;
  return new AppError(code, `tar: ${entry}at byte ${place.offset}: ${problem}`, {
    kind: TAR_ERROR_KIND[code],
    details: { offset: place.offset, ...(place.name === undefined ? {} : { entry: place.name }) },
    ...(hint === undefined ? {} : { hint }),
  });
}
