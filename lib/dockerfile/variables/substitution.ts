/** What `${name<operator>word}` stands for, once the word is read. */
import { refusal } from '../errors.js';
import { ShellPattern } from './shell-pattern.js';

const OPERATORS = ['-', '+', '?', '#', '%'] as const;
export type Operator = (typeof OPERATORS)[number];

export interface Substitution {
  readonly name: string;
  readonly value: string | undefined;
  readonly operator: Operator;
  /** Written with a `:`. */
  readonly nullIsUnset: boolean;
  /** With variables in; for `##` and `%%` it begins with the second character of the operator. */
  readonly word: string;
  /** The whole word, for messages. */
  readonly source: string;
}

export function isOperator(text: string): text is Operator {
  const operators: readonly string[] = OPERATORS;
  return operators.includes(text);
}

/** @throws AppError DOCKERFILE_VARIABLE_REQUIRED, DOCKERFILE_PATTERN_INVALID */
export function substitute(substitution: Substitution): string {
  const { value, operator, nullIsUnset, word } = substitution;
  const absent = value === undefined || (nullIsUnset && value === '');
  switch (operator) {
    case '-':
      return absent ? word : value;
    case '+':
      return absent ? '' : word;
    case '?':
      if (!absent) return value;
      throw required(substitution);
    case '#':
    case '%': {
      const longest = word.startsWith(operator);
      const pattern = ShellPattern.parse(longest ? word.slice(1) : word);
      return operator === '#' ? pattern.trimPrefix(value ?? '', longest) : pattern.trimSuffix(value ?? '', longest);
    }
    default:
      return operator satisfies never;
  }
}

function required({ name, value, word, source }: Substitution): Error {
  const state = value === undefined ? 'unset' : 'empty';
  const message = word === '' ? `is not allowed to be ${state}` : word;
  return refusal('DOCKERFILE_VARIABLE_REQUIRED', `${name}: ${message}`, {
    hint: `give ${name} a value with ARG, ENV or --build-arg`,
    word: source,
  });
}
