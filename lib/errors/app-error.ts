/**
 * The one error base of the project. Every refusal carries a stable `code`, a sentence that says what failed, and,
 * where it helps, a `hint` with what would be accepted. Protocol folders map codes to their own responses; nothing
 * here knows HTTP.
 */

/** What kind of failure this is; protocols choose their status by it. */
export type ErrorKind =
  | 'invalid' // the caller's input is wrong
  | 'unauthenticated'
  | 'forbidden'
  | 'not-found'
  | 'conflict'
  | 'too-large'
  | 'limited' // a rate or quota
  | 'unsupported' // known, and not offered
  | 'failed' // the work itself failed, for instance a RUN step
  | 'unavailable' // a dependency is down or full; nothing acknowledged is lost
  | 'internal';

export interface AppErrorOptions {
  readonly kind?: ErrorKind;
  /** What would be accepted, or the next thing to do. */
  readonly hint?: string;
  /** Machine-readable particulars. Never secrets, tokens or signed URLs. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly retryable?: boolean;
  readonly cause?: unknown;
}

/**
 * @example throw new AppError('DIGEST_INVALID', 'digest "sha256:xyz" has a bad hex part', { hint: '64 lower-case hex digits' })
 */
export class AppError extends Error {
  override readonly name: string = 'AppError';
  readonly kind: ErrorKind;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;
  readonly retryable: boolean;

  constructor(
    /** Stable, UPPER_SNAKE. */
    readonly code: string,
    message: string,
    options: AppErrorOptions = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = options.kind ?? 'invalid';
    this.hint = options.hint;
    this.details = options.details ?? {};
    this.retryable = options.retryable ?? this.kind === 'unavailable';
  }
}

/** The error as an AppError; anything unexpected becomes kind `internal` (or `unavailable` for a full disk). */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const code = errnoCode(error);
  if (code === 'EMFILE' || code === 'ENFILE')
    return filesExhausted(error instanceof Error ? error.message : code, error);
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EROFS') {
    return new AppError('STORE_FULL', 'the data folder has no room to write', {
      kind: 'unavailable',
      hint: 'free disk space in the data folder, then try again; nothing already acknowledged is lost',
      cause: error,
    });
  }
  const message = error instanceof Error ? error.message : String(error);
  return new AppError('INTERNAL', message, { kind: 'internal', cause: error });
}

/** The `code` of a Node system error such as ENOENT, if it has one. */
export function errnoCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

export function filesExhausted(what: string, cause?: unknown): AppError {
  return new AppError('HOST_FILES_EXHAUSTED', `${what}: too many files are open`, {
    kind: 'unavailable',
    hint: 'raise the limit of open files (ulimit -n, LimitNOFILE) of the platform, or fs.file-max of the machine',
    cause,
  });
}
