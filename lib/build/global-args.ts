/** Build arguments that are no ordinary ARG: the proxies, and SOURCE_DATE_EPOCH. */
import { predefinedArgs } from '../dockerfile/index.js';
import { AppError } from '../errors/index.js';

/** `NAME=value` of the proxy arguments a request brings: usable in RUN without ARG, out of history and keys. */
export function proxyEnv(args: Readonly<Record<string, string>>): string[] {
  return predefinedArgs.flatMap((name) => (args[name] === undefined ? [] : [`${name}=${args[name]}`]));
}

/**
 * SOURCE_DATE_EPOCH in seconds, from the request or the file's head; empty means not given.
 * @throws AppError BUILD_EPOCH_INVALID, BUILD_UNSUPPORTED_EPOCH
 */
export function sourceDateEpoch(
  args: Readonly<Record<string, string>>,
  values: ReadonlyMap<string, string>,
): number | undefined {
  const text = args['SOURCE_DATE_EPOCH'] ?? values.get('SOURCE_DATE_EPOCH') ?? '';
  if (text === '') return undefined;
  if (/^\d{1,11}$/.test(text)) return Number(text);
  const shown = JSON.stringify(text);
  const hint = 'a number of seconds since 1970-01-01T00:00:00Z';
  if (/^[a-z]/.test(text)) {
    const message = `SOURCE_DATE_EPOCH=${shown} names a source of time, which is not offered`;
    throw new AppError('BUILD_UNSUPPORTED_EPOCH', message, { kind: 'unsupported', hint });
  }
  throw new AppError('BUILD_EPOCH_INVALID', `SOURCE_DATE_EPOCH=${shown} is not a time`, { hint });
}
