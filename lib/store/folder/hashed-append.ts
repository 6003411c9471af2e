/**
 * Appends to the file of an upload while its hash grows along: in this thread, in one of those that write large uploads,
 * or behind what another process wrote.
 */
import { Digester, type DigestAlgorithm } from '../../oci/index.js';
import { openingOf, writeByThread, writeStream } from './file-stream-fs.js';
import type { OpenFile } from './files-fs.js';
import type { ByteSource } from '../ports.js';
import { TrailingHash } from './trailing-hash.js';
import { ThreadHash } from '../write-threads.js';

/** Of all bytes up to a place in the upload. */
export type RunningHash = Digester | ThreadHash;

export interface HashedAppend {
  /** Where the upload stands now. */
  readonly offset: number;
  /** Undefined when it was lost on the way. */
  readonly hash: RunningHash | undefined;
  /** Why it ended early. What came before is written. */
  readonly failure?: { readonly error: unknown };
}

/** @param known the hash of the bytes before; undefined: they are read back */
export async function appendHashed(
  file: OpenFile,
  upload: { readonly offset: number; readonly algorithm: DigestAlgorithm },
  known: RunningHash | undefined,
  source: ByteSource,
  handsOver: boolean,
): Promise<HashedAppend> {
  let { offset } = upload;
  const way = await wayOf(file, upload, known, source, handsOver);
  let failure: { readonly error: unknown } | undefined;
  try {
    await way.write((bytes) => {
      offset += bytes;
      way.trailing?.advance(bytes);
    });
  } catch (error) {
    failure = { error };
  }
  const grown = way.hash ?? (await way.trailing?.finish());
  const isWhole = grown?.sizeBytes === offset;
  if (!isWhole) forgetHash(grown);
  return { offset, hash: isWhole ? grown : undefined, ...(failure === undefined ? {} : { failure }) };
}

/** To be called when nobody asks for it any more. */
export function forgetHash(hash: RunningHash | undefined): void {
  if (hash instanceof ThreadHash) hash.drop();
}

interface Way {
  readonly hash?: RunningHash;
  readonly trailing?: TrailingHash;
  write(advanced: (bytes: number) => void): Promise<void>;
}

async function wayOf(
  file: OpenFile,
  { offset, algorithm }: { readonly offset: number; readonly algorithm: DigestAlgorithm },
  known: RunningHash | undefined,
  source: ByteSource,
  handsOver: boolean,
): Promise<Way> {
  if (known === undefined && offset > 0) {
    const trailing = new TrailingHash(file, algorithm, offset);
    return { trailing, write: (advanced) => writeStream(file, source, offset, () => {}, advanced) };
  }
  if (known instanceof Digester || !hasDescriptor(file)) {
    return inThisThread(file, known instanceof Digester ? known : new Digester(algorithm), source, offset);
  }
  if (known !== undefined) return inThread(file, known, source, offset, handsOver);
  const { isLong, whole } = await openingOf(source);
  if (!isLong) return inThisThread(file, new Digester(algorithm), whole, offset);
  return inThread(file, new ThreadHash(algorithm), whole, offset, handsOver);
}

function inThisThread(file: OpenFile, hash: Digester, source: ByteSource, offset: number): Way {
  return { hash, write: (advanced) => writeStream(file, source, offset, (bytes) => hash.update(bytes), advanced) };
}

function inThread(
  file: FileWithDescriptor,
  hash: ThreadHash,
  source: ByteSource,
  offset: number,
  handsOver: boolean,
): Way {
  return { hash, write: (advanced) => writeByThread(file, hash, source, offset, { handsOver, advanced }) };
}

type FileWithDescriptor = OpenFile & { readonly fd: number };

function hasDescriptor(file: OpenFile): file is FileWithDescriptor {
  return file.fd !== undefined;
}
