/**
 * Arguments every build has: the proxies that need no ARG, the platform's, and the global ones declared before the
 * first FROM.
 */
import { AppError } from '../../errors/index.js';
import { formatPlatform, type Platform } from '../../oci/index.js';
import { errorAt } from '../instruction-error.js';
import { expandWord } from './shell-words.js';
import type { Dockerfile } from '../types.js';

/** Usable in RUN without ARG; kept out of history and cache keys unless declared. */
export const predefinedArgs: readonly string[] = ['HTTP', 'HTTPS', 'FTP', 'NO', 'ALL'].flatMap((name) => [
  `${name}_PROXY`,
  `${name.toLowerCase()}_proxy`,
]);

/**
 * The platform arguments, all of them set, empty where the platform does not say. They are global: FROM sees them, a
 * stage sees those it declares with ARG.
 * @param stage name of the target stage, if it has one
 */
export function platformArgs(build: Platform, target: Platform, stage = 'default'): ReadonlyMap<string, string> {
  return new Map([
    ['BUILDPLATFORM', formatPlatform(build)],
    ['BUILDOS', build.os],
    ['BUILDOSVERSION', ''],
    ['BUILDARCH', build.architecture],
    ['BUILDVARIANT', build.variant ?? ''],
    ['TARGETPLATFORM', formatPlatform(target)],
    ['TARGETOS', target.os],
    ['TARGETOSVERSION', ''],
    ['TARGETARCH', target.architecture],
    ['TARGETVARIANT', target.variant ?? ''],
    ['TARGETSTAGE', stage],
  ]);
}

/**
 * What FROM lines see: platform arguments, then ARGs before the first FROM, each overridden by a build argument.
 * An ARG without default and build argument is not in the map.
 * @throws DockerfileError when a default does not expand
 */
export function globalArguments(
  dockerfile: Pick<Dockerfile, 'fileName' | 'globalArgs' | 'escape'>,
  platform: ReadonlyMap<string, string>,
  buildArgs: ReadonlyMap<string, string> = new Map(),
): ReadonlyMap<string, string> {
  const values = new Map([...platform].map(([name, value]) => [name, buildArgs.get(name) ?? value]));
  for (const instruction of dockerfile.globalArgs) {
    for (const { key, value } of instruction.args) {
      const given = buildArgs.get(key);
      if (given !== undefined) values.set(key, given);
      else if (value !== undefined) {
        try {
          values.set(key, expandWord(value, values, { escape: dockerfile.escape }));
        } catch (error) {
          throw error instanceof AppError ? errorAt(dockerfile.fileName, instruction, error) : error;
        }
      }
    }
  }
  return values;
}
