/** How many arguments and flags an instruction may have: the rules that several of them share. */
import { refusal } from '../errors.js';
import type { Statement } from '../types.js';
import { checkFlags } from './flags.js';

export function argumentError(sentence: string, hint: string, word?: string): Error {
  return refusal('DOCKERFILE_ARGUMENTS', sentence, word === undefined ? { hint } : { hint, word });
}

export function noFlags(statement: Statement): void {
  checkFlags(statement.keyword.toLowerCase(), statement.flags);
}

/** @param flags STOPSIGNAL never looked at its flags, and still does not */
export function onlyArgument(statement: Statement, flags: 'no flags' | 'any flags' = 'no flags'): string {
  const name = statement.keyword.toUpperCase();
  const [only] = statement.words;
  if (only === undefined) throw argumentError(`${name} requires exactly one argument`, `${name} <value>`);
  if (flags === 'no flags') noFlags(statement);
  return only;
}

export function someArguments(statement: Statement): readonly string[] {
  const name = statement.keyword.toUpperCase();
  const hint = name === 'ENV' || name === 'LABEL' ? `${name} <name>=<value> …` : `${name} <value> …`;
  if (statement.words.length === 0) throw argumentError(`${name} requires at least one argument`, hint);
  noFlags(statement);
  return statement.words;
}
