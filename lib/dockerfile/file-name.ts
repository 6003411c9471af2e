/** Where a Dockerfile may lie. */
import { posix } from 'node:path';

/** `Dockerfile` may be written in lower case; any other name is as it is. */
export function dockerfileNames(path: string): readonly string[] {
  if (posix.basename(path) !== 'Dockerfile') return [path];
  return [path, posix.join(posix.dirname(path), 'dockerfile')];
}
