/** Objects of task definitions in a folder of this machine: `<folder>/<bucket>/<key>`, written by the operator. */
import { readFile, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, errnoCode } from '../../errors/index.js';
import type { ObjectSource } from './environment-files.js';

const LARGEST_BYTES = 1024 * 1024;

/** What leads out of the folder, by `..` or by a link, is not there. */
export function folderObjects(folder: string): ObjectSource {
  return {
    async read({ bucket, key }) {
      try {
        const root = await realpath(folder);
        const path = await realpath(join(root, bucket, key));
        if (!path.startsWith(`${root}/`)) return undefined;
        const { size } = await stat(path);
        if (size > LARGEST_BYTES) {
          throw new AppError('OBJECT_TOO_LARGE', `it has ${size} bytes, and ${LARGEST_BYTES} are read`);
        }
        return await readFile(path, 'utf8');
      } catch (error) {
        if (['ENOENT', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG'].includes(errnoCode(error) ?? '')) return undefined;
        throw error;
      }
    },
  };
}
