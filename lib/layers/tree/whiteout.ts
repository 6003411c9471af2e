/** Whiteouts: how a layer says that something below it is gone (OCI image-spec, layer.md, section Whiteouts). */
import { baseName, joinPath, parentPath } from './path-name.js';

const PREFIX = '.wh.';
/** In a folder: nothing that lower layers have in it shows through. */
export const OPAQUE_MARKER = '.wh..wh..opq';

/** Whether an entry of this path is a mark (whiteout or opaque marker), not a file. */
export function isWhiteout(path: string): boolean {
  return baseName(path).startsWith(PREFIX);
}

/** Whether an entry of this path is a mark, or lies in a folder that is called like one. */
export function isAtWhiteout(path: string): boolean {
  return path.includes(PREFIX) && path.split('/').some((part) => part.startsWith(PREFIX));
}

export function isOpaqueMarker(path: string): boolean {
  return baseName(path) === OPAQUE_MARKER;
}

/**
 * The path that a whiteout hides; undefined when `path` is none. Other marks of aufs (`.wh..wh.plnk`, …) hide nothing.
 * @example whiteoutOf('etc/.wh.motd') // 'etc/motd'
 */
export function whiteoutOf(path: string): string | undefined {
  const name = baseName(path);
  if (!name.startsWith(PREFIX) || name.startsWith(PREFIX + PREFIX)) return undefined;
  const hidden = name.slice(PREFIX.length);
  return hidden === '' || hidden === '.' || hidden === '..' ? undefined : joinPath(parentPath(path), hidden);
}

/** The path of the mark that hides `path`. */
export function whiteoutFor(path: string): string {
  return joinPath(parentPath(path), PREFIX + baseName(path));
}
