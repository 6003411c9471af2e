/** Instructions that give something a name: FROM a stage, ARG, ENV and LABEL their values. */
import { refusal } from '../errors.js';
import type { ArgDeclaration, FromInstruction, InstructionBase, KeyValue, Statement } from '../types.js';
import { argumentError, noFlags, someArguments } from './argument-rules.js';
import { checkFlags, flagValue } from './flags.js';

const STAGE_NAME = /^[a-z][a-z0-9-_.]*$/;

export function from(statement: Statement, base: InstructionBase): FromInstruction {
  const { words, comments } = statement;
  const [image = '', as, written] = words;
  if (words.length !== 1 && !(words.length === 3 && as?.toLowerCase() === 'as')) {
    throw argumentError(
      'FROM requires either one or three arguments',
      'FROM [--platform=…] <image> [AS <name>]',
      words[1],
    );
  }
  const name = written?.toLowerCase();
  if (name !== undefined && !STAGE_NAME.test(name)) {
    throw refusal('DOCKERFILE_STAGE_NAME', `"${written}" cannot name a stage`, {
      hint: 'a letter, then letters, digits, "-", "_" or "."',
      ...(written === undefined ? {} : { word: written }),
    });
  }
  const platform = flagValue(checkFlags('from', statement.flags), 'platform');
  const description = name === undefined ? undefined : descriptionOf(comments, name);
  return {
    kind: 'from',
    ...base,
    image,
    ...(name === undefined ? {} : { name }),
    ...(platform === undefined || platform === '' ? {} : { platform }),
    ...(description === undefined ? {} : { description }),
  };
}

/** ARG never looked at its flags either. */
export function declarations(statement: Statement): ArgDeclaration[] {
  if (statement.words.length === 0)
    throw argumentError('ARG requires at least one argument', 'ARG <name>[=<default>] …');
  return statement.words.map((word) => {
    const equals = word.indexOf('=');
    if (equals === 0) throw argumentError('ARG names can not be blank', 'ARG <name>[=<default>] …', word);
    const key = equals < 0 ? word : word.slice(0, equals);
    const description = descriptionOf(statement.comments, key);
    return {
      key,
      ...(equals < 0 ? {} : { value: word.slice(equals + 1) }),
      ...(description === undefined ? {} : { description }),
    };
  });
}

export function keyValues(statement: Statement): KeyValue[] {
  const name = statement.keyword.toUpperCase();
  noFlags(statement);
  const words = someArguments(statement);
  const pairs: KeyValue[] = [];
  for (let i = 0; i < words.length; i += 3) {
    const [key = '', value = '', delimiter] = words.slice(i, i + 3);
    if (key === '') throw argumentError(`${name} names can not be blank`, `${name} <name>=<value> …`, `=${value}`);
    pairs.push(delimiter === '' ? { key, value, legacy: true } : { key, value });
  }
  return pairs;
}

/** The comment `<name> <description>`, if there is one above. */
function descriptionOf(comments: readonly string[], name: string): string | undefined {
  if (name === '') return undefined;
  return comments.find((comment) => comment.startsWith(`${name} `))?.slice(name.length + 1);
}
