/** A COPY source that is not there: says where it was looked for, whether it is ignored, and what may be meant. */
import { AppError } from '../../errors/index.js';
import { baseName, type ImageTree, parentPath, type TreeEntry } from '../../layers/index.js';
import { closeNames } from '../build-errors.js';
import type { BuildContext } from '../context/context.js';
import { cleanPath } from '../plan/path-names.js';
import type { SourceMissing } from '../keys/selection.js';

export function missingInContext(error: SourceMissing, context: BuildContext): AppError {
  const path = cleanPath(error.source).slice(1);
  if (context.ignores(path)) {
    const message = `${JSON.stringify(path)} is not in the build context, because .dockerignore excludes it`;
    return missing(message, path, 'bring it back with a line !<path> at the end of the ignore file', { ignored: true });
  }
  const link = context.tree.lookup(path, { followLast: false });
  if (link !== undefined) {
    const message = `${JSON.stringify(path)} of the build context is ${described(link)}`;
    return missing(message, path, 'a link inside of the context, or the file itself', { ignored: false });
  }
  const close = closeNames(path, context.keptPaths());
  const hint = meant(close) ?? 'paths are relative to the root of the build context';
  return missing(`${JSON.stringify(path)} is not in the build context`, path, hint, { ignored: false });
}

/** @param where as a person knows the tree: `stage "build"`, `image busybox:1` */
export function missingInTree(error: SourceMissing, tree: ImageTree, where: string): AppError {
  const path = cleanPath(error.source);
  const folder = parentPath(path.slice(1));
  const link = tree.lookup(path, { followLast: false });
  if (link !== undefined) {
    const message = `${JSON.stringify(path)} of ${where} is ${described(link)}`;
    return missing(message, path, 'what it leads to, by its own name', {});
  }
  const names = (tree.list(folder) ?? []).map((entry) => baseName(entry.path));
  const close = closeNames(baseName(path), names).map((name) => (folder === '' ? `/${name}` : `/${folder}/${name}`));
  const hint = meant(close) ?? 'paths are absolute in the stage or image that --from names';
  return missing(`${JSON.stringify(path)} is not in ${where}`, path, hint, {});
}

/** What stands where a file was looked for. */
export function described({ type, linkTarget }: Pick<TreeEntry, 'type' | 'linkTarget'>): string {
  if (type === 'directory') return 'a folder';
  return type === 'symlink' ? `a link to ${JSON.stringify(linkTarget)}, which is not there` : `a ${type}`;
}

function meant(close: readonly string[]): string | undefined {
  return close.length === 0 ? undefined : `did you mean ${close.join(' or ')}?`;
}

function missing(message: string, path: string, hint: string, details: object): AppError {
  return new AppError('BUILD_COPY_SOURCE_MISSING', message, {
    kind: 'not-found',
    hint,
    details: { ...details, source: path, word: path },
  });
}
