/**
 * Sends a folder as a build context: a list of its files, and then only the contents that the platform does not have.
 * When nothing changed since the last build, nothing is sent.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import type { WharfClient } from '../client/index.js';
import { AppError, errnoCode } from '../errors/index.js';
import { type ContextFolderOptions, openContextFolder } from '../layers/context/context-folder-fs.js';
import { encodeContextManifest, type FolderMember, type ManifestEntry, withContent } from '../layers/index.js';
import type { Digest } from '../oci/index.js';
import type { Clock } from '../store/index.js';
import { readMemory } from '../store/folder/read-memory-fs.js';
import { FolderMemory, folderMemoryPath, rememberedContext } from './folder-memory.js';

export interface SendContextDeps {
  readonly client: Pick<WharfClient, 'builds'>;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
}

export interface FoundContext {
  readonly digest: Digest;
  /** Path of the Dockerfile inside the context. */
  readonly dockerfile: string;
  /** Made when somebody asks for it, where the digest was remembered; then the digest in it counts. */
  list(): ListedContext;
}

export interface ListedContext {
  readonly digest: Digest;
  readonly list: Buffer;
  readonly files: readonly ListedFile[];
}

interface ListedFile {
  readonly entry: ManifestEntry;
  /** Where its content lies. */
  readonly file: string;
}

/** A file that changes while it is read is read again so often. */
const TRIES = 3;
const PIECE_BYTES = 1024 * 1024;

/**
 * The folder's list of files, or what is remembered of it. Reads the files that changed since last time.
 * @param trust false when what is remembered has turned out to be wrong
 * @throws as openContextFolder
 */
export function findContext(
  { cwd, env, clock }: Pick<SendContextDeps, 'cwd' | 'env' | 'clock'>,
  folder: string,
  options: ContextFolderOptions = {},
  trust = true,
): FoundContext {
  const { look, dockerfile } = openContextFolder(cwd, folder, options);
  const state = look();
  const path = folderMemoryPath(env, resolve(cwd, folder));
  const print = state.print();
  const remembered = trust ? rememberedContext(path, print) : undefined;
  const list = (): ListedContext => {
    const memory = new FolderMemory(path, clock, trust);
    const listed = listOf([...state], memory);
    memory.save(print, listed.digest);
    return listed;
  };
  if (remembered !== undefined) return { digest: remembered, dockerfile, list };
  const listed = list();
  return { digest: listed.digest, dockerfile, list: () => listed };
}

function listOf(members: readonly FolderMember[], memory: FolderMemory): ListedContext {
  const files = members.map(({ entry, file, stamp }): ListedFile => {
    return { file, entry: stamp === undefined ? entry : withContent(entry, memory.hashOf(entry.path, file, stamp)) };
  });
  const list = Buffer.concat([...encodeContextManifest(files.map(({ entry }) => entry))]);
  const digest = `sha256:${createHash('sha256').update(list).digest('hex')}` as Digest;
  return { digest, list, files };
}

/**
 * Runs `use` with the context's digest, and sends the context first where the platform does not have it.
 * @param use e.g. starts a build; CONTEXT_NOT_FOUND says that it must be sent
 */
export async function withContext<T>(
  deps: SendContextDeps,
  input: ContextFolderOptions & { readonly folder: string; readonly name?: string },
  use: (context: Digest, dockerfile: string) => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    const found = findContext(deps, input.folder, input, tries === 1);
    try {
      return await use(found.digest, found.dockerfile);
    } catch (error) {
      if (!isCode(error, 'CONTEXT_NOT_FOUND') || tries > TRIES) throw error;
    }
    try {
      const listed = found.list();
      await send(deps, listed, input.name ?? basename(resolve(deps.cwd, input.folder)));
      return await use(listed.digest, found.dockerfile);
    } catch (error) {
      if (!AGAIN.some((code) => isCode(error, code)) || tries === TRIES) throw error;
    }
  }
}

/** A file that changed meanwhile, or an upload that was given up: made anew, it may go well. */
const AGAIN = ['CONTEXT_CONTENT_MISMATCH', 'CONTEXT_FILE_CHANGED', 'CONTEXT_UPLOAD_UNKNOWN', 'CONTEXT_NOT_FOUND'];

async function send({ client }: SendContextDeps, { list, files }: ListedContext, name: string): Promise<void> {
  const answer = await client.builds.offerContext(list, name);
  if ('digest' in answer) return;
  const missing = answer.missing.flatMap((number) => files[number] ?? []);
  const contents = contentsOf(missing);
  const { upload, pieceBytes } = answer;
  if (pieceBytes === undefined) return void (await client.builds.sendContents(upload, contents));
  let offset = 0;
  for await (const piece of piecesOf(contents, pieceBytes)) {
    await client.builds.sendContents(upload, once(piece), offset);
    offset += piece.length;
  }
}

/** The same bytes in pieces of this size, the last one smaller. */
async function* piecesOf(source: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array, void> {
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length;) {
      // A copy: the chunk's memory is used again.
      const part = Uint8Array.prototype.slice.call(chunk, at, at + bytes - waitingBytes);
      at += part.length;
      waiting.push(part);
      waitingBytes += part.length;
      if (waitingBytes < bytes) continue;
      yield Buffer.concat(waiting);
      waiting = [];
      waitingBytes = 0;
    }
  }
  if (waitingBytes > 0) yield Buffer.concat(waiting);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes;
}

/** The contents one after the other, small files together in large pieces; a piece is good until the next one. */
async function* contentsOf(files: readonly ListedFile[]): AsyncGenerator<Uint8Array, void> {
  const piece = readMemory(PIECE_BYTES);
  let filled = 0;
  for (const { entry, file: full } of files) {
    const { path, sizeBytes } = entry;
    const file = openFile(full, path);
    try {
      for (let at = 0; at < sizeBytes;) {
        const bytes = readSync(file, piece, filled, Math.min(PIECE_BYTES - filled, sizeBytes - at), at);
        if (bytes === 0) throw changed(path);
        at += bytes;
        filled += bytes;
        if (filled < PIECE_BYTES) continue;
        yield piece;
        filled = 0;
      }
    } finally {
      closeSync(file);
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
}

function openFile(full: string, path: string): number {
  try {
    return openSync(full, 'r');
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') throw changed(path);
    throw error;
  }
}

function changed(path: string): AppError {
  return new AppError('CONTEXT_FILE_CHANGED', `${path} changed while it was sent`, {
    kind: 'conflict',
    hint: 'build again when nothing writes into the folder',
  });
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof AppError && error.code === code;
}
