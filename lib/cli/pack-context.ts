/** A folder as a build context: a tar made while it is read. The same folder gives the same bytes. */
import { createReadStream } from 'node:fs';
import { openContextFolder } from '../layers/context/context-folder-fs.js';
import { type FolderMember, type TarMember, writeTar } from '../layers/index.js';

export interface PackedContext {
  readonly tar: AsyncIterable<Uint8Array>;
  /** Path of the Dockerfile inside the context. */
  readonly dockerfile: string;
}

/**
 * @param dockerfile as given on the command line, relative to `cwd`; `Dockerfile` of the folder when absent
 * @throws AppError CONTEXT_NOT_FOUND, DOCKERFILE_NOT_FOUND
 */
export async function packContext(cwd: string, folder: string, dockerfile?: string): Promise<PackedContext> {
  const context = openContextFolder(cwd, folder, dockerfile === undefined ? {} : { dockerfile });
  return { tar: writeTar(withBodies(context.look())), dockerfile: context.dockerfile };
}

function* withBodies(members: Iterable<FolderMember>): Generator<TarMember, void> {
  for (const { entry, file } of members) {
    yield { entry, body: entry.sizeBytes === 0 ? nothing() : contentOf(file, entry.sizeBytes) };
  }
}

/** As many bytes as there were when the folder was read, should the file grow meanwhile. Opened only when it is read. */
async function* contentOf(path: string, sizeBytes: number): AsyncIterable<Uint8Array> {
  yield* createReadStream(path, { end: sizeBytes - 1 });
}

async function* nothing(): AsyncIterable<Uint8Array> {}
