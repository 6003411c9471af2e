/**
 * Errors of a Dockerfile. The parts of the room refuse with a plain AppError that may carry the offending word in
 * `details.word`; whoever knows the file turns it into a DockerfileError with line, column and the source line.
 */
import { AppError } from '../errors/index.js';
import type { LintWarning } from './types.js';

export interface SourcePlace {
  readonly file: string;
  /** One-based. */
  readonly line: number;
  readonly column: number;
  readonly sourceLine: string;
}

interface DockerfileErrorOptions {
  readonly hint?: string | undefined;
  readonly details?: object;
  readonly cause?: unknown;
  readonly warnings?: readonly LintWarning[];
}

/** The message starts with `Dockerfile:3:5:`. `details` has the place again, for machines. */
export class DockerfileError extends AppError {
  override readonly name = 'DockerfileError';
  /** What the rules said of the lines before it. */
  readonly warnings: readonly LintWarning[];

  constructor(
    code: string,
    /** The sentence without the place. */
    readonly sentence: string,
    readonly place: SourcePlace,
    private readonly options: DockerfileErrorOptions = {},
  ) {
    super(code, `${place.file}:${place.line}:${place.column}: ${sentence}`, {
      kind: 'invalid',
      ...(options.hint === undefined ? {} : { hint: options.hint }),
      details: { ...options.details, ...place },
      cause: options.cause,
    });
    this.warnings = options.warnings ?? [];
  }

  after(warnings: readonly LintWarning[]): DockerfileError {
    return new DockerfileError(this.code, this.sentence, this.place, { ...this.options, warnings });
  }
}

/** A refusal that does not know its place yet. `word` is what the column will point at. */
export function refusal(
  code: string,
  sentence: string,
  options: { readonly hint?: string; readonly word?: string; readonly offset?: number } = {},
): AppError {
  const { hint, ...details } = options;
  return new AppError(code, sentence, { kind: 'invalid', details, ...(hint === undefined ? {} : { hint }) });
}

/** Where a refusal's word stands in the text of its instruction, preferring a whole word; -1 when it does not. */
export function findWord(text: string, details: Readonly<Record<string, unknown>>): number {
  const { word, offset } = details;
  if (typeof word !== 'string' || word === '') return -1;
  let found = -1;
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    const isWhole = at === 0 || /[\s=,"']/.test(text[at - 1] ?? '');
    const ends = at + word.length;
    if (isWhole && (ends === text.length || /[\s=,"']/.test(text[ends] ?? ''))) {
      found = at;
      break;
    }
    if (found < 0) found = at;
  }
  if (found < 0) return -1;
  return found + (typeof offset === 'number' ? Math.min(offset, word.length - 1) : 0);
}
