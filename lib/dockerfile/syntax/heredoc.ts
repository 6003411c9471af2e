/** Heredocs: which words of a RUN, COPY or ADD line open one, and how its body reads. */
import { expand } from '../variables/shell-words.js';
import { AppError } from '../../errors/index.js';

/** `3<<-"EOF"`, before its body was read. */
export interface HeredocMark {
  readonly name: string;
  readonly expand: boolean;
  readonly stripTabs: boolean;
  readonly fileDescriptor: number;
}

const MARK = /^(\d*)<<(-?)[\t\n\f\r ]*([^<]*)$/;
const nothing = (): undefined => undefined;

/** The heredocs a logical line opens, in order. Broken quoting means none, as the shell will complain better. */
export function heredocMarks(line: string): HeredocMark[] {
  if (!line.includes('<<')) return [];
  const words = wordsOf(line, { rawQuotes: true, rawEscapes: true });
  return words.map(parseMark).filter((mark) => mark !== undefined);
}

/** @throws AppError when the delimiter's quoting is broken */
function parseMark(word: string): HeredocMark | undefined {
  const match = MARK.exec(word);
  const delimiter = match?.[3] ?? '';
  if (match === null || delimiter === '') return undefined;
  const plain = expand(delimiter, nothing, { keepUnset: true }).words;
  const [name] = plain;
  if (plain.length !== 1 || name === undefined) return undefined;
  const [raw = ''] = expand(delimiter, nothing, { keepUnset: true, rawQuotes: true }).words;
  return {
    name,
    // Quotes that vanish in the plain reading quoted some part of the delimiter.
    expand: countQuotes(name) === countQuotes(raw),
    stripTabs: match[2] === '-',
    fileDescriptor: Math.min(Number(match[1] === '' ? 0 : match[1]), Number.MAX_SAFE_INTEGER),
  };
}

/** The heredoc a COPY source or destination stands for; undefined when it is a path. */
export function heredocMark(word: string): HeredocMark | undefined {
  try {
    return parseMark(word);
  } catch (error) {
    if (error instanceof AppError) return undefined;
    throw error;
  }
}

/** The body without leading tabs, as `<<-` asks. */
export function stripLeadingTabs(body: string): string {
  return body.replace(/(^|\n)\t+/g, '$1');
}

function wordsOf(line: string, options: { rawQuotes: boolean; rawEscapes: boolean }): readonly string[] {
  try {
    return expand(line, nothing, { ...options, keepUnset: true }).words;
  } catch (error) {
    if (error instanceof AppError) return [];
    throw error;
  }
}

function countQuotes(text: string): number {
  return text.length - text.replace(/['"]/g, '').length;
}
