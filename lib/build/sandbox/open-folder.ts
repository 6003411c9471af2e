/** A folder below another one, opened name by name without following links, so that nobody can lead it elsewhere. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { errnoCode } from '../../errors/index.js';

export interface OpenFolder {
  /** Leads to the folder that was opened as long as it is open, whatever its names are by then. */
  readonly path: string;
  readonly close: () => Promise<void>;
}

const FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** @returns undefined when a part is missing, a link, or no folder */
export async function openFolderBelow(root: string, below: string): Promise<OpenFolder | undefined> {
  let handle: FileHandle | undefined = await open(root, FOLDER);
  for (const part of below.split('/')) {
    const parent: FileHandle = handle;
    try {
      handle = await openFolder(`${descriptorPath(parent)}/${part}`);
    } finally {
      await parent.close();
    }
    if (handle === undefined) return undefined;
  }
  const opened = handle;
  return { path: descriptorPath(opened), close: () => opened.close() };
}

function descriptorPath(handle: FileHandle): string {
  return `/proc/${process.pid}/fd/${handle.fd}`;
}

async function openFolder(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, FOLDER);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoCode(error) ?? '')) return undefined;
    throw error;
  }
}
