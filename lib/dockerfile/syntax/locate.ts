/** Gives a refusal the place of its word in the file, through the pieces that a logical line was joined from. */
import type { AppError } from '../../errors/index.js';
import { DockerfileError, findWord } from '../errors.js';
import type { LinePiece } from '../types.js';
import type { SourceText } from './source-text.js';

/** The refusal as an error of this file, pointing at its word when the line has it. */
export function locate(
  error: AppError,
  source: SourceText,
  code: string,
  pieces: readonly LinePiece[],
): DockerfileError {
  const { word: _word, offset: _offset, ...details } = error.details;
  const at = Math.max(findWord(code, error.details), 0);
  let low = 0;
  for (let high = pieces.length - 1; low < high;) {
    const middle = (low + high + 1) >> 1;
    if ((pieces[middle]?.offset ?? 0) <= at) low = middle;
    else high = middle - 1;
  }
  const piece = pieces[low] ?? { offset: 0, line: 1, column: 1 };
  const place = source.place(piece.line, piece.column + at - piece.offset);
  return new DockerfileError(error.code, error.message, place, { hint: error.hint, details, cause: error });
}
