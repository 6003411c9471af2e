/** Gives a refusal the place of the instruction it came from, for whoever works on instructions after parsing. */
import type { AppError } from '../errors/index.js';
import { DockerfileError, findWord } from './errors.js';
import type { FromInstruction, Instruction } from './types.js';

/**
 * The error as one of this file, at the word it is about when the instruction has it, else at the instruction.
 * @example catch (error) { throw error instanceof AppError ? errorAt(file, instruction, error) : error; }
 */
export function errorAt(
  fileName: string,
  instruction: FromInstruction | Instruction,
  error: AppError,
): DockerfileError {
  if (error instanceof DockerfileError) return error;
  const { word: _word, offset: _offset, ...details } = error.details;
  const { original, range } = instruction;
  const at = findWord(original, error.details);
  const lines = (at < 0 ? '' : original.slice(0, at)).split('\n');
  const row = lines.length - 1;
  const place = {
    file: fileName,
    line: range.start.line + row,
    column: at < 0 ? range.start.column : (lines[row] ?? '').length + 1,
    sourceLine: original.split('\n')[row]?.replace(/\r$/, '') ?? '',
  };
  return new DockerfileError(error.code, error.message, place, { hint: error.hint, details, cause: error });
}
