/** Build arguments that are no ordinary ARG: the proxies, and SOURCE_DATE_EPOCH. */
import { type Dockerfile, predefinedArgs } from '../../dockerfile/index.js';
import { AppError } from '../../errors/index.js';
import { SETTINGS } from './buildkit-args.js';

/** `NAME=value` of the proxy arguments a request brings: usable in RUN without ARG, out of history and keys. */
export function proxyEnv(args: Readonly<Record<string, string>>): string[] {
  return predefinedArgs.flatMap((name) => (args[name] === undefined ? [] : [`${name}=${args[name]}`]));
}

/** What SOURCE_DATE_EPOCH says: a time, or where to take it from. */
export type EpochSource =
  | { readonly kind: 'time'; readonly seconds: number }
  | { readonly kind: 'context' }
  | { readonly kind: 'stage'; readonly name: string };

export const EPOCH_ARG = 'SOURCE_DATE_EPOCH';

/**
 * SOURCE_DATE_EPOCH from the request or the file's head; empty means not given.
 * @throws AppError BUILD_EPOCH_INVALID
 */
export function sourceDateEpoch(
  args: Readonly<Record<string, string>>,
  values: ReadonlyMap<string, string>,
): EpochSource | undefined {
  const text = args[EPOCH_ARG] ?? values.get(EPOCH_ARG) ?? '';
  if (text === '') return undefined;
  if (/^\d{1,11}$/.test(text)) return { kind: 'time', seconds: Number(text) };
  if (text === 'context') return { kind: 'context' };
  if (/^[a-z][a-z0-9-_.]*$/i.test(text)) return { kind: 'stage', name: text };
  throw epochInvalid(text, 'is not a time');
}

export function epochInvalid(text: string, problem: string): AppError {
  return new AppError('BUILD_EPOCH_INVALID', `${EPOCH_ARG}=${JSON.stringify(text)} ${problem}`, {
    hint: 'seconds since 1970-01-01T00:00:00Z, "context", or the name of a stage that is an image as it is',
  });
}

/** Arguments of the request that no ARG of the file declares, sorted; those that mean something without one are not told. */
export function unusedArgs(
  dockerfile: Dockerfile,
  args: Readonly<Record<string, string>>,
  globals: ReadonlyMap<string, string>,
): readonly string[] {
  const declared = new Set([...globals.keys(), ...predefinedArgs, EPOCH_ARG, ...SETTINGS]);
  const instructions = dockerfile.stages.flatMap((stage) => stage.instructions);
  for (const instruction of [...dockerfile.globalArgs, ...instructions]) {
    if (instruction.kind === 'arg') for (const arg of instruction.args) declared.add(arg.key);
  }
  return Object.keys(args)
    .filter((name) => !declared.has(name))
    .sort();
}
