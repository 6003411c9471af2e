/**
 * From statements to typed instructions: argument counts, flags and the rules of each instruction, as BuildKit's
 * frontend/dockerfile/instructions has them. Values stay as written; variables are the builder's.
 */
import { parseInterval } from './duration.js';
import { refusal } from './errors.js';
import { checkFlags, flagValue, flagValues } from './flags.js';
import { heredocMark, stripLeadingTabs } from './heredoc.js';
import { checkMount } from './mount.js';
import { INSTRUCTION_NAMES } from './statements.js';
import { nearest } from './suggestion.js';
import type {
  ArgDeclaration,
  CommandForm,
  CopyInstruction,
  FromInstruction,
  HealthcheckInstruction,
  Heredoc,
  Instruction,
  KeyValue,
  OnbuildInstruction,
  RunInstruction,
  SourceRange,
  Statement,
} from './types.js';
import { trimSpace } from './white-space.js';

/** What every instruction has, whatever its kind. */
interface Base {
  readonly range: SourceRange;
  readonly original: string;
  readonly keyword: string;
  readonly code: string;
  readonly comments: readonly string[];
}

type Parsed = FromInstruction | Instruction;

const STAGE_NAME = /^[a-z][a-z0-9-_.]*$/;

/** @throws AppError that does not know its place yet */
export function instructionOf(statement: Statement, range: SourceRange, original: string): Parsed {
  const { keyword, comments } = statement;
  const base: Base = { range, original, keyword, code: trimSpace(statement.code), comments };
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

function argumentError(sentence: string, hint: string, word?: string): Error {
  return refusal('DOCKERFILE_ARGUMENTS', sentence, word === undefined ? { hint } : { hint, word });
}

function noFlags(statement: Statement): void {
  checkFlags(statement.keyword.toLowerCase(), statement.flags);
}

/** @param flags STOPSIGNAL never looked at its flags, and still does not */
function onlyArgument(statement: Statement, flags: 'no flags' | 'any flags' = 'no flags'): string {
  const name = statement.keyword.toUpperCase();
  const [only] = statement.words;
  if (only === undefined) throw argumentError(`${name} requires exactly one argument`, `${name} <value>`);
  if (flags === 'no flags') noFlags(statement);
  return only;
}

function someArguments(statement: Statement): readonly string[] {
  const name = statement.keyword.toUpperCase();
  const hint = name === 'ENV' || name === 'LABEL' ? `${name} <name>=<value> …` : `${name} <value> …`;
  if (statement.words.length === 0) throw argumentError(`${name} requires at least one argument`, hint);
  noFlags(statement);
  return statement.words;
}

function from(statement: Statement, base: Base): FromInstruction {
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

/** The comment `<name> <description>`, if there is one above. */
function descriptionOf(comments: readonly string[], name: string): string | undefined {
  if (name === '') return undefined;
  return comments.find((comment) => comment.startsWith(`${name} `))?.slice(name.length + 1);
}

/** ARG never looked at its flags either. */
function declarations(statement: Statement): ArgDeclaration[] {
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

function keyValues(statement: Statement): KeyValue[] {
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

function commandForm(words: readonly string[], json: boolean): CommandForm {
  return json ? { form: 'exec', args: words } : { form: 'shell', command: words.join(' ') };
}

function run(statement: Statement, base: Base): RunInstruction {
  const flags = checkFlags('run', statement.flags);
  for (const mount of flagValues(flags, 'mount')) checkMount(mount);
  oneOf('network', flagValue(flags, 'network'), ['default', 'none', 'host']);
  oneOf('security', flagValue(flags, 'security'), ['sandbox', 'insecure']);
  const command = commandForm(statement.words, statement.json);
  return { kind: 'run', ...base, command, flags, heredocs: statement.heredocs };
}

function oneOf(flag: string, value: string | undefined, accepted: readonly string[]): void {
  if (value === undefined || accepted.includes(value)) return;
  throw refusal('DOCKERFILE_FLAG', `--${flag} cannot be "${value}"`, {
    hint: `one of ${accepted.join(', ')}`,
    word: `--${flag}`,
  });
}

function copy(kind: 'copy' | 'add', statement: Statement, base: Base): CopyInstruction {
  const name = kind.toUpperCase();
  const { words } = statement;
  const destination = words.at(-1);
  if (destination === undefined || words.length < 2) {
    throw argumentError(
      `${name} requires at least one source and a destination`,
      `${name} <source> … <destination>`,
      words[0],
    );
  }
  const flags = checkFlags(kind, statement.flags);
  if (heredocMark(destination) !== undefined) {
    throw argumentError(`${name} cannot have a heredoc as its destination`, `${name} <<EOF <destination>`, destination);
  }
  const bodies = new Map(statement.heredocs.map((heredoc) => [heredoc.name, heredoc.raw]));
  const sources: string[] = [];
  const heredocs: Heredoc[] = [];
  for (const source of words.slice(0, -1)) {
    const mark = heredocMark(source);
    if (mark === undefined) {
      sources.push(source);
      continue;
    }
    const raw = bodies.get(mark.name) ?? '';
    heredocs.push({ ...mark, raw, content: mark.stripTabs ? stripLeadingTabs(raw) : raw });
  }
  return { kind, ...base, sources, destination, flags, heredocs };
}

function shell(statement: Statement): readonly string[] {
  noFlags(statement);
  const { words, json } = statement;
  if (words.length === 0) throw argumentError('SHELL requires at least one argument', 'SHELL ["/bin/sh", "-c"]');
  if (!json) {
    throw argumentError('SHELL requires the arguments to be in JSON form', 'SHELL ["/bin/sh", "-c"]', words[0]);
  }
  return words;
}

function volumes(statement: Statement): string[] {
  return someArguments(statement).map((word) => {
    const path = trimSpace(word);
    if (path === '') throw argumentError('VOLUME cannot be an empty string', 'VOLUME <path> …');
    return path;
  });
}

function healthcheck(statement: Statement, base: Base): HealthcheckInstruction {
  const accepted = 'HEALTHCHECK [--interval=30s …] CMD <command>, or HEALTHCHECK NONE';
  const [type, ...rest] = statement.words;
  if (type === undefined) throw argumentError('HEALTHCHECK requires at least one argument', accepted);
  if (type.toUpperCase() === 'NONE') {
    if (rest.length > 0) throw argumentError('HEALTHCHECK NONE takes no arguments', accepted, rest[0]);
    return { kind: 'healthcheck', ...base };
  }
  const flags = checkFlags('healthcheck', statement.flags);
  if (type.toUpperCase() !== 'CMD') throw argumentError(`HEALTHCHECK has no type "${type}"`, accepted, type);
  if (rest.length === 0) throw argumentError('HEALTHCHECK CMD has no command', accepted, type);
  const interval = (name: string): number | undefined => parseInterval(name, flagValue(flags, name));
  const times = {
    intervalNs: interval('interval'),
    timeoutNs: interval('timeout'),
    startPeriodNs: interval('start-period'),
    startIntervalNs: interval('start-interval'),
    retries: retries(flagValue(flags, 'retries')),
  };
  const given = Object.fromEntries(Object.entries(times).filter(([, value]) => value !== undefined));
  return { kind: 'healthcheck', ...base, command: commandForm(rest, statement.json), ...given };
}

/** Zero is docker's own default, and the same as none. */
function retries(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  const count = /^[+-]?\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(count >= 0 && count < 2 ** 31)) {
    throw argumentError(`--retries cannot be "${text}"`, 'a whole number from 0', text);
  }
  return count === 0 ? undefined : count;
}

function onbuild(statement: Statement, base: Base): OnbuildInstruction {
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
