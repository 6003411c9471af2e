/** What a COPY changed, with its contents: read out of the trees they lie in, and hashed on the way where nobody has yet. */
import { createHash } from 'node:crypto';
import type { ImageTree, TarMember, TreeContents } from '../../layers/index.js';
import type { Change } from './changed-tree.js';
import type { HashedFiles } from './file-hashes.js';

/**
 * The changes with their contents. Bodies of one tree are asked for in the order they are needed.
 * @param hashed trees whose files are not hashed yet @param hashes gets the SHA-256 of their files
 */
export async function* changeMembers(
  changes: Iterable<Change>,
  hashed: ReadonlySet<ImageTree>,
  hashes: HashedFiles,
): AsyncGenerator<TarMember, void, undefined> {
  const contents = new Map<ImageTree, TreeContents>();
  try {
    for (const { entry, body } of changes) {
      if (entry.type !== 'file' || body === undefined) yield { entry, body: bytes(new Uint8Array()) };
      else if (body.kind === 'bytes') yield { entry, body: bytes(body.bytes) };
      else {
        const { tree, inode } = body;
        const reader = contents.get(tree) ?? tree.contents(true);
        contents.set(tree, reader);
        const source = reader.read({ inode, sizeBytes: entry.sizeBytes });
        const isHashed = hashed.has(tree);
        // The body of an empty file is never asked for.
        if (isHashed && entry.sizeBytes === 0) hashes.set(tree, inode, EMPTY_HASH);
        yield { entry, body: isHashed ? hashing(source, (digest) => hashes.set(tree, inode, digest)) : source };
      }
    }
  } finally {
    for (const reader of contents.values()) await reader.close();
  }
}

const EMPTY_HASH = createHash('sha256').digest();

async function* hashing(
  source: AsyncIterable<Uint8Array>,
  done: (digest: Uint8Array) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createHash('sha256');
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
  done(hash.digest());
}

async function* bytes(content: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  if (content.length > 0) yield content;
}
