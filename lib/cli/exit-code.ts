/** What the shell learns. Documented in `wharf --help`. */
import { AppError, type ErrorKind, toAppError } from '../errors/index.js';
import type { Output } from './output.js';

export const ExitCode = {
  ok: 0,
  failure: 1,
  usage: 2,
  auth: 3,
  notFound: 4,
  conflict: 5,
  quota: 6,
  timeout: 7,
} as const;

/** A command of somebody else's ended so, and so do we. Nothing is said about it. */
export class PassedOnExit extends Error {
  constructor(readonly exitCode: number) {
    super(`exit ${exitCode}`);
  }
}

export const EXIT_CODES_HELP = `Exit codes: 0 ok, 1 failure, 2 usage, 3 not allowed, 4 not found, 5 conflict, 6 limit reached, 7 time-out.`;

const BY_KIND: Readonly<Record<ErrorKind, number>> = {
  invalid: ExitCode.usage,
  unauthenticated: ExitCode.auth,
  forbidden: ExitCode.auth,
  'not-found': ExitCode.notFound,
  conflict: ExitCode.conflict,
  'too-large': ExitCode.quota,
  limited: ExitCode.quota,
  unsupported: ExitCode.failure,
  failed: ExitCode.failure,
  unavailable: ExitCode.failure,
  internal: ExitCode.failure,
};

export function exitCodeOf(error: unknown): number {
  const known = toAppError(error);
  return known.code === 'TIMEOUT' ? ExitCode.timeout : BY_KIND[known.kind];
}

/** What failed, what would be accepted, and under which id the server's log has it. */
export function sayError(output: Output, error: unknown): void {
  const known = toAppError(error);
  const { red, dim } = output.colors;
  output.say(`${red('error')} ${known.message} ${dim(`(${known.code})`)}\n`);
  const { errors } = known.details;
  if (Array.isArray(errors) && errors.length > 1) {
    for (const part of errors as { in: string; pointer: string; detail: string }[]) {
      output.say(`  ${part.in} ${part.pointer}: ${part.detail}\n`);
    }
  }
  if (known.hint !== undefined) output.say(`  ${known.hint}\n`);
  const { requestId } = known.details;
  if (typeof requestId === 'string') output.say(dim(`  request ${requestId}\n`));
}

export function timeOut(what: string, seconds: number): AppError {
  return new AppError('TIMEOUT', `${what} was not done after ${seconds} s`, {
    kind: 'unavailable',
    hint: 'it goes on; wharf ps shows how it stands, --timeout waits longer',
  });
}
