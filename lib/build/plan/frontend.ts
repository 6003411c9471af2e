/**
 * `# syntax=…` names an image that would translate the Dockerfile. Docker's own are what this builder does itself, in
 * every version; any other language is refused before it is read as one.
 */
import { DockerfileError, findDirective } from '../../dockerfile/index.js';
import { AppError } from '../../errors/index.js';
import { SYNTAX_ARG } from './buildkit-args.js';

/** docker/dockerfile:1, …:1.7-labs, …-upstream:master, of Docker Hub or a copy of it elsewhere. */
const DOCKERS_OWN = /^(?:[^\s/]+\/)*docker\/dockerfile(?:-upstream)?(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?$/;
const LINE = /^\s*(?:#|\/\/)\s*syntax\s*=|^\s*\{?\s*"syntax"\s*:/i;

/** @throws AppError BUILD_UNSUPPORTED_SYNTAX, with the line */
export function checkFrontend(text: string, fileName: string, args: Readonly<Record<string, string>>): void {
  const { [SYNTAX_ARG]: given = '' } = args;
  const syntax = (given === '' ? findDirective(text, 'syntax') : given)?.split(' ', 1)[0];
  if (syntax === undefined || DOCKERS_OWN.test(syntax)) return;
  const hint = 'docker/dockerfile:<any version>, or no syntax line: this builder reads Dockerfiles itself';
  const message = `the frontend ${JSON.stringify(syntax)} is not offered`;
  if (given !== '')
    throw new AppError('BUILD_UNSUPPORTED_SYNTAX', `${SYNTAX_ARG}: ${message}`, { kind: 'unsupported', hint });
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/);
  const at = Math.max(
    lines.findIndex((line) => LINE.test(line)),
    0,
  );
  const sourceLine = lines[at] ?? '';
  const place = { file: fileName, line: at + 1, column: Math.max(sourceLine.indexOf(syntax), 0) + 1, sourceLine };
  throw new DockerfileError('BUILD_UNSUPPORTED_SYNTAX', message, place, { hint });
}
