/**
 * From statements to typed instructions: argument counts, flags and the rules of each instruction, as BuildKit's
 * frontend/dockerfile/instructions has them. Values stay as written; variables are the builder's.
 */
import { refusal } from '../errors.js';
import { nearest } from '../suggestion.js';
import { INSTRUCTION_NAMES } from '../syntax/statements.js';
import { trimSpace } from '../syntax/white-space.js';
import type {
  FromInstruction,
  Instruction,
  InstructionBase,
  OnbuildInstruction,
  SourceRange,
  Statement,
} from '../types.js';
import { argumentError, noFlags, onlyArgument, someArguments } from './argument-rules.js';
import { commandForm, healthcheck, run, shell } from './commands.js';
import { copy } from './copy-parser.js';
import { declarations, from, keyValues } from './declarations.js';

type Parsed = FromInstruction | Instruction;

/** @throws AppError that does not know its place yet */
export function instructionOf(statement: Statement, range: SourceRange, original: string): Parsed {
  const { keyword, comments } = statement;
  const base: InstructionBase = { range, original, keyword, code: trimSpace(statement.code), comments };
  switch (keyword.toLowerCase()) {
    case 'from':
      return from(statement, base);
    case 'arg':
      return { kind: 'arg', ...base, args: declarations(statement) };
    case 'env':
      return { kind: 'env', ...base, pairs: keyValues(statement) };
    case 'label':
      return { kind: 'label', ...base, pairs: keyValues(statement) };
    case 'workdir':
      return { kind: 'workdir', ...base, path: onlyArgument(statement) };
    case 'user':
      return { kind: 'user', ...base, user: onlyArgument(statement) };
    case 'maintainer':
      return { kind: 'maintainer', ...base, name: onlyArgument(statement) };
    case 'stopsignal':
      return { kind: 'stopsignal', ...base, signal: onlyArgument(statement, 'any flags') };
    case 'run':
      return run(statement, base);
    case 'copy':
      return copy('copy', statement, base);
    case 'add':
      return copy('add', statement, base);
    case 'cmd':
      noFlags(statement);
      return { kind: 'cmd', ...base, command: commandForm(statement.words, statement.json) };
    case 'entrypoint':
      noFlags(statement);
      return { kind: 'entrypoint', ...base, command: commandForm(statement.words, statement.json) };
    case 'shell':
      return { kind: 'shell', ...base, args: shell(statement) };
    case 'expose':
      return { kind: 'expose', ...base, ports: [...someArguments(statement)].sort() };
    case 'volume':
      return { kind: 'volume', ...base, paths: volumes(statement) };
    case 'healthcheck':
      return healthcheck(statement, base);
    case 'onbuild':
      return onbuild(statement, base);
    default:
      throw unknownInstruction(keyword);
  }
}

function unknownInstruction(keyword: string): Error {
  const names = INSTRUCTION_NAMES.map((name) => name.toUpperCase());
  const near = nearest(keyword, names);
  return refusal('DOCKERFILE_UNKNOWN_INSTRUCTION', `unknown instruction "${keyword}"`, {
    hint: near === undefined ? `one of ${names.sort().join(', ')}` : `did you mean ${near}?`,
    word: keyword,
  });
}

function volumes(statement: Statement): string[] {
  return someArguments(statement).map((word) => {
    const path = trimSpace(word);
    if (path === '') throw argumentError('VOLUME cannot be an empty string', 'VOLUME <path> …');
    return path;
  });
}

function onbuild(statement: Statement, base: InstructionBase): OnbuildInstruction {
  const { nested, heredocs } = statement;
  if (nested === undefined) throw argumentError('ONBUILD requires at least one argument', 'ONBUILD <instruction>');
  noFlags(statement);
  const trigger = nested.keyword.toUpperCase();
  if (['ONBUILD', 'FROM', 'MAINTAINER'].includes(trigger)) {
    throw refusal('DOCKERFILE_ONBUILD', `ONBUILD cannot trigger ${trigger}`, {
      hint: 'any other instruction, for example ONBUILD COPY . /app',
      word: nested.keyword,
    });
  }
  const line = statement.code.replace(/^\s*ONBUILD\s*/i, '');
  const bodies = heredocs.map((heredoc) => `\n${heredoc.raw}${heredoc.name}`);
  return { kind: 'onbuild', ...base, expression: line + bodies.join('') };
}
