/**
 * The statements as S-expressions, in the form BuildKit's parser tests use: lower-case keyword, flags as a bracketed
 * list, every word quoted, the instruction inside ONBUILD in parentheses. Fixtures compare these.
 */
import { goQuote } from './quote.js';
import { SourceText } from './source-text.js';
import { parseStatements } from './statements.js';
import type { Dockerfile, Statement } from '../types.js';

/** @throws DockerfileError when given text that has no statements */
export function dumpDockerfile(dockerfile: Dockerfile | string): string {
  const { statements } =
    typeof dockerfile === 'string' ? parseStatements(new SourceText('Dockerfile', dockerfile)) : dockerfile;
  return statements.map((statement) => `(${dumpStatement(statement)})\n`).join('');
}

function dumpStatement(statement: Statement): string {
  const flags = statement.flags.length === 0 ? '' : ` [${statement.flags.map(goQuote).join(' ')}]`;
  const nested = statement.nested === undefined ? '' : ` (${dumpStatement(statement.nested)})`;
  return `${statement.keyword.toLowerCase()}${flags}${nested}${statement.words.map((word) => ` ${goQuote(word)}`).join('')}`;
}
