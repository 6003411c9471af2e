/**
 * Repository patterns: what a grant or a publication names. A name stands for itself, `<name>/*` for everything below
 * that name (not for the name itself), `*` for everything. Nothing else is a pattern: `team*` would take `team2` along.
 */
import { AppError } from '../errors/index.js';
import { isRepositoryName } from '../oci/index.js';

export function isRepositoryPattern(text: string): boolean {
  return text === '*' || isRepositoryName(text.endsWith('/*') ? text.slice(0, -2) : text);
}

/** @throws AppError REPOSITORY_PATTERN_INVALID */
export function checkRepositoryPattern(text: string): void {
  if (isRepositoryPattern(text)) return;
  throw new AppError('REPOSITORY_PATTERN_INVALID', `${JSON.stringify(text.slice(0, 300))} names no repositories`, {
    hint: 'a repository such as team/app, everything below a name such as team/*, or * for everything',
  });
}

/** @example matchesRepository('team/*', 'team/app/web') === true */
export function matchesRepository(pattern: string, repository: string): boolean {
  if (pattern === '*') return true;
  return pattern.endsWith('/*') ? repository.startsWith(pattern.slice(0, -1)) : pattern === repository;
}
