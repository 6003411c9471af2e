/** Build arguments that are settings of the builder, under the names BuildKit gave them. */
import { goBool } from '../../dockerfile/index.js';
import { AppError } from '../../errors/index.js';

export interface BuildkitSettings {
  /** Cache mounts of one namespace are not those of another. */
  readonly cacheNamespace?: string;
  /** Of the machine that RUN sees. */
  readonly hostname?: string;
  /** One platform gives an index too. */
  readonly multiPlatform: boolean;
  /** A context that is a git repository keeps `.git`. */
  readonly keepGitFolder: boolean;
  /** The image has its cache records in its config. */
  readonly inlineCache: boolean;
}

/** For lists of builds on the client's side; nothing here has a place for it. */
const BUILD_NAME = 'BUILDKIT_BUILD_NAME';
const CACHE_NAMESPACE = 'BUILDKIT_CACHE_MOUNT_NS';
const HOSTNAME = 'BUILDKIT_SANDBOX_HOSTNAME';
const MULTI_PLATFORM = 'BUILDKIT_MULTI_PLATFORM';
const KEEP_GIT = 'BUILDKIT_CONTEXT_KEEP_GIT_DIR';
const INLINE_CACHE = 'BUILDKIT_INLINE_CACHE';
/** The frontend; `frontend.ts` looks at it. */
export const SYNTAX_ARG = 'BUILDKIT_SYNTAX';
export const CHECK_ARG = 'BUILDKIT_DOCKERFILE_CHECK';

type Args = Readonly<Record<string, string>>;

/** Arguments that mean something without an ARG. */
export const SETTINGS: readonly string[] = [
  BUILD_NAME,
  CACHE_NAMESPACE,
  HOSTNAME,
  MULTI_PLATFORM,
  KEEP_GIT,
  INLINE_CACHE,
  SYNTAX_ARG,
  CHECK_ARG,
];

/** @throws AppError BUILD_ARG_INVALID */
export function buildkitSettings(args: Args): BuildkitSettings {
  const { [CACHE_NAMESPACE]: cacheNamespace = '', [HOSTNAME]: hostname = '' } = args;
  if (hostname !== '' && !/^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$/.test(hostname)) {
    throw invalid(HOSTNAME, hostname, 'letters, digits, "-" and ".", at most 63 of them');
  }
  return {
    ...(cacheNamespace === '' ? {} : { cacheNamespace }),
    ...(hostname === '' ? {} : { hostname }),
    multiPlatform: isSet(args, MULTI_PLATFORM),
    keepGitFolder: isSet(args, KEEP_GIT),
    inlineCache: isSet(args, INLINE_CACHE),
  };
}

function isSet(args: Args, name: string): boolean {
  const { [name]: text = '' } = args;
  const value = text === '' ? false : goBool(text);
  if (value === undefined) throw invalid(name, text, '1 or 0');
  return value;
}

function invalid(name: string, value: string, accepted: string): AppError {
  return new AppError('BUILD_ARG_INVALID', `build argument ${name} cannot be ${JSON.stringify(value)}`, {
    hint: accepted,
  });
}
