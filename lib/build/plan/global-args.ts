/** Build arguments that are no ordinary ARG, and those that are none at all. */
import { type Dockerfile, predefinedArgs } from '../../dockerfile/index.js';
import { SETTINGS } from './buildkit-args.js';
import { EPOCH_ARG } from './source-epoch.js';

/** `NAME=value` of the proxy arguments a request brings: usable in RUN without ARG, out of history and keys. */
export function proxyEnv(args: Readonly<Record<string, string>>): string[] {
  return predefinedArgs.flatMap((name) => (args[name] === undefined ? [] : [`${name}=${args[name]}`]));
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
