/** Instructions that hold a command: RUN, CMD, ENTRYPOINT, SHELL, HEALTHCHECK. */
import { refusal } from '../errors.js';
import type { CommandForm, HealthcheckInstruction, InstructionBase, RunInstruction, Statement } from '../types.js';
import { argumentError, noFlags } from './argument-rules.js';
import { parseInterval } from './duration.js';
import { checkFlags, flagValue, flagValues } from './flags.js';
import { checkMount } from './mount.js';

export function run(statement: Statement, base: InstructionBase): RunInstruction {
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

export function shell(statement: Statement): readonly string[] {
  noFlags(statement);
  const { words, json } = statement;
  if (words.length === 0) throw argumentError('SHELL requires at least one argument', 'SHELL ["/bin/sh", "-c"]');
  if (!json) {
    throw argumentError('SHELL requires the arguments to be in JSON form', 'SHELL ["/bin/sh", "-c"]', words[0]);
  }
  return words;
}

export function healthcheck(statement: Statement, base: InstructionBase): HealthcheckInstruction {
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

export function commandForm(words: readonly string[], json: boolean): CommandForm {
  return json ? { form: 'exec', args: words } : { form: 'shell', command: words.join(' ') };
}
