/** Paths of an image: always `/`-separated, absolute, never above the root. */
import { posix } from 'node:path';

/** Absolute and clean; a trailing slash is dropped. `..` ends at the root. */
export function cleanPath(path: string): string {
  return posix.join('/', path).replace(/(.)\/+$/, '$1');
}

/** Like BuildKit's NormalizePath: relative to `parent`, an absolute path stays as written. */
export function resolvePath(parent: string, path: string): string {
  if (path.startsWith('/')) return path;
  const joined = posix.join(parent === '' ? '/' : parent, path);
  return joined.replace(/(.)\/+$/, '$1');
}

/** A destination: absolute, clean, with the trailing slash that says "a folder" kept (`dir/`, `dir/.`, `.`). */
export function destinationPath(workdir: string, path: string): string {
  const folder = path === '' || /(^|\/)\.?$/.test(path);
  const absolute = cleanPath(path.startsWith('/') ? path : posix.join('/', workdir, path));
  return folder && absolute !== '/' ? `${absolute}/` : absolute;
}

/** A source: absolute inside its tree; patterns are kept as they are. */
export function sourcePath(path: string): string {
  const absolute = posix.join('/', path);
  return absolute;
}

/** The last name of a path; empty for the root. */
export function baseNameOf(path: string): string {
  return posix.basename(path);
}

/** The path as layer entries have it: no leading slash; the root is the empty string. */
export function relativeName(absolute: string): string {
  return cleanPath(absolute).slice(1);
}
