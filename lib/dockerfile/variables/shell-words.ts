/**
 * Variable expansion and word splitting, as BuildKit's shell.Lex has them: `$v`, `${v}` with the operators
 * `- :- + :+ ? :? # ## % %% / //`, single and double quotes, the escape character. It is no shell: no commands,
 * no arithmetic, no `=`.
 */
import { ShellLexer } from './shell-lexer.js';

/** Variables by name. */
export type Environment = ReadonlyMap<string, string> | ((name: string) => string | undefined);

export interface ExpandOptions {
  /** The escape character of the Dockerfile; `\` when absent. */
  readonly escape?: '\\' | '`';
  /** Keep quotes in the result. */
  readonly rawQuotes?: boolean;
  /** Keep escape characters in the result. */
  readonly rawEscapes?: boolean;
  /** Quotes are plain characters, as in heredoc bodies. */
  readonly plainQuotes?: boolean;
  /** Leave references to unset variables as they are. */
  readonly keepUnset?: boolean;
}

export interface Expansion {
  readonly text: string;
  readonly words: readonly string[];
  /** Names that were set. */
  readonly used: ReadonlySet<string>;
  /** Names that were asked for and not set, whether or not a default stood in. */
  readonly unset: ReadonlySet<string>;
}

/**
 * The word with variables in and quotes off; blanks stay.
 * @throws AppError DOCKERFILE_EXPANSION_INVALID and _TOO_LARGE, DOCKERFILE_VARIABLE_REQUIRED, DOCKERFILE_PATTERN_INVALID
 */
export function expandWord(word: string, env: Environment, options: ExpandOptions = {}): string {
  // Most words have nothing to do.
  if (!/[$'"\\`<\ufeff]/.test(word)) return word;
  return expand(word, env, options).text;
}

/** Like `expandWord`, then split at blanks that are not quoted, those inside variables included. */
export function expandWords(word: string, env: Environment, options: ExpandOptions = {}): string[] {
  return [...expand(word, env, options).words];
}

/** The body of a heredoc: variables and `\` escapes only, whatever the file's escape character is. */
export function expandHeredoc(content: string, env: Environment): Expansion {
  return expand(content, env, { escape: '\\', plainQuotes: true });
}

/** `expandWord` and `expandWords` in one, with the names that were met: lint rules live from these. */
export function expand(word: string, env: Environment, options: ExpandOptions = {}): Expansion {
  const lexer = new ShellLexer(word, env, options);
  const { text, words } = lexer.read(undefined, options.rawEscapes ?? false);
  return { text, words, used: lexer.used, unset: lexer.unset };
}
