/** The context of a request and the Dockerfile in it, parsed, with what its ignore file leaves. */
import {
  type Dockerfile,
  DockerfileError,
  dockerfileNames,
  type IgnoreFile,
  type LintWarning,
  parseDockerfile,
  parseIgnore,
  type ParseOptions,
} from '../../dockerfile/index.js';
import { AppError } from '../../errors/index.js';
import { closeNames } from '../build-errors.js';
import { described } from '../steps/missing-source.js';
import type { EmitEvent } from '../build-log.js';
import { CHECK_ARG } from '../plan/buildkit-args.js';
import type { BuildContext } from './context.js';
import { checkFrontend } from '../plan/frontend.js';
import { cleanPath } from '../plan/path-names.js';
import { PlanLint } from '../plan/plan-lint.js';
import type { SentContexts } from './sent-contexts.js';
import type { LocalRequest } from './fetched-contexts.js';

export interface BuildSource {
  readonly context: BuildContext;
  readonly dockerfile: Dockerfile;
  /** The Dockerfile as written. */
  readonly text: string;
  readonly lint: PlanLint;
}

/**
 * Lint findings become events as they come.
 * @throws AppError BUILD_DOCKERFILE_MISSING, and what contexts and Dockerfiles are refused for
 */
export async function openSource(
  contexts: Pick<SentContexts, 'open'>,
  request: LocalRequest,
  call: { readonly emit: EmitEvent; readonly signal: AbortSignal; readonly owner?: string },
): Promise<BuildSource> {
  const whole = await contexts.open(request.context, call.owner ?? '', call.signal);
  const wanted = cleanPath(request.dockerfile ?? 'Dockerfile').slice(1);
  const { path, text } = await dockerfileIn(whole, wanted, request.dockerfileText);
  const { args = {} } = request;
  checkFrontend(text, path, args);
  const { [CHECK_ARG]: check } = args;
  const options = { fileName: path, violations: 'report', ...(check === undefined ? {} : { check }) } as const;
  const tell = ({ message, line, rule }: LintWarning): void => {
    call.emit({ type: 'warning', message, rule, ...(line === 0 ? {} : { line }) });
  };
  const dockerfile = parsed(text, options, tell);
  const { context, ignore } = await withoutIgnored(whole, path);
  return { context, dockerfile, text, lint: new PlanLint(dockerfile, ignore, tell) };
}

async function dockerfileIn(
  whole: BuildContext,
  wanted: string,
  given: string | undefined,
): Promise<{ readonly path: string; readonly text: string }> {
  if (given !== undefined) return { path: wanted, text: given };
  for (const path of dockerfileNames(wanted)) {
    const text = await whole.text(path);
    if (text !== undefined) return { path, text };
  }
  throw dockerfileMissing(wanted, whole);
}

/** What was found before a line that is refused is told as well. */
function parsed(text: string, options: ParseOptions, tell: (warning: LintWarning) => void): Dockerfile {
  try {
    return parseDockerfile(text, options);
  } catch (error) {
    if (error instanceof DockerfileError) error.warnings.forEach(tell);
    throw error;
  }
}

/** `<Dockerfile>.dockerignore` beats `.dockerignore`. */
async function withoutIgnored(
  context: BuildContext,
  dockerfile: string,
): Promise<{ readonly context: BuildContext; readonly ignore?: IgnoreFile }> {
  for (const name of [`${dockerfile}.dockerignore`, '.dockerignore']) {
    const text = await context.text(name);
    if (text === undefined) continue;
    const ignore = parseIgnore(text, name);
    return ignore.patterns.length === 0 ? { context } : { context: context.without(ignore), ignore };
  }
  return { context };
}

function dockerfileMissing(path: string, context: BuildContext): AppError {
  const there = context.tree.lookup(path, { followLast: false });
  if (there !== undefined) {
    return new AppError('BUILD_DOCKERFILE_MISSING', `${path} of the build context is ${described(there)}`, {
      kind: 'not-found',
      hint: 'a file; --file names another',
    });
  }
  const others = [...context.paths()].filter((each) =>
    /(^|\/)(Dockerfile|Containerfile)[^/]*$|\.dockerfile$/i.test(each),
  );
  const close = others.length > 0 ? others.slice(0, 3) : closeNames(path, context.paths());
  return new AppError('BUILD_DOCKERFILE_MISSING', `${path} is not in the build context`, {
    kind: 'not-found',
    hint: close.length > 0 ? `did you mean ${close.join(' or ')}?` : 'put one at the root of the context',
  });
}
