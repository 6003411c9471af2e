/** Flags of instructions: which exist, which take a value, and how to ask for them. */
import { refusal } from '../errors.js';
import { nearest } from '../suggestion.js';
import type { Flag } from '../types.js';

/** A list flag may be repeated. */
type FlagType = 'boolean' | 'text' | 'list';
type FlagTable = Readonly<Record<string, FlagType>>;

const COPY: FlagTable = {
  from: 'text',
  chown: 'text',
  chmod: 'text',
  link: 'boolean',
  exclude: 'list',
  parents: 'boolean',
};

export const FLAGS: Readonly<Record<string, FlagTable>> = {
  from: { platform: 'text' },
  run: { mount: 'list', network: 'text', security: 'text', device: 'list' },
  copy: COPY,
  add: {
    chown: 'text',
    chmod: 'text',
    link: 'boolean',
    'keep-git-dir': 'boolean',
    checksum: 'text',
    unpack: 'boolean',
    exclude: 'list',
  },
  healthcheck: {
    interval: 'text',
    timeout: 'text',
    'start-period': 'text',
    'start-interval': 'text',
    retries: 'text',
  },
};

/** @param name the instruction, lower case. @throws AppError DOCKERFILE_FLAG */
export function checkFlags(name: string, written: readonly string[]): Flag[] {
  const table = FLAGS[name] ?? {};
  const seen = new Set<string>();
  return written.map((text) => {
    const equals = text.indexOf('=');
    const flag = text.slice(2, equals < 0 ? undefined : equals);
    const value = equals < 0 ? undefined : text.slice(equals + 1);
    const refuse = (what: string, hint: string): Error => refusal('DOCKERFILE_FLAG', what, { hint, word: `--${flag}` });
    const type = Object.hasOwn(table, flag) ? table[flag] : undefined;
    if (type === undefined) throw refuse(`${name.toUpperCase()} has no flag "--${flag}"`, acceptedFlags(name, flag));
    if (seen.has(flag) && type !== 'list') throw refuse(`the flag "--${flag}" is given twice`, 'give it once');
    seen.add(flag);
    if (type === 'boolean') {
      if (value !== undefined && !/^(true|false)$/i.test(value)) {
        throw refuse(`the flag "--${flag}" is true or false, not "${value}"`, `--${flag} or --${flag}=false`);
      }
    } else if (value === undefined) {
      throw refuse(`the flag "--${flag}" has no value`, `--${flag}=<value>`);
    }
    return value === undefined ? { name: flag } : { name: flag, value };
  });
}

function acceptedFlags(name: string, flag: string): string {
  const names = Object.keys(FLAGS[name] ?? {});
  if (names.length === 0) return `${name.toUpperCase()} takes no flags`;
  const near = nearest(flag, names, 'exact');
  const list = names.map((each) => `--${each}`).join(', ');
  return near === undefined ? `accepted: ${list}` : `did you mean --${near}? accepted: ${list}`;
}

/** Value of a flag that is given at most once; undefined when absent. */
export function flagValue(flags: readonly Flag[], name: string): string | undefined {
  return flags.find((flag) => flag.name === name)?.value;
}

/** Values of a flag that may be repeated, in order. */
export function flagValues(flags: readonly Flag[], name: string): string[] {
  return flags.filter((flag) => flag.name === name).map((flag) => flag.value ?? '');
}

/** A boolean flag: true, false, or undefined when absent. */
export function flagSwitch(flags: readonly Flag[], name: string): boolean | undefined {
  const flag = flags.find((each) => each.name === name);
  return flag === undefined ? undefined : flag.value?.toLowerCase() !== 'false';
}
