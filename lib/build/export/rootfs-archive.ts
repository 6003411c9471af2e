/**
 * The merged root folder of an image as members of a tar, as BuildKit's local and tar exports have it: under
 * SOURCE_DATE_EPOCH everything has that time; what is attested of the image lies beside the files, and is about them.
 */
import { createHash } from 'node:crypto';
import { AppError } from '../../errors/index.js';
import { completeChangeset, copyEntry, type ImageTree, quoteName, type TarMember } from '../../layers/index.js';
import { type Digest, digestHex } from '../../oci/index.js';
import { bytesMember, folders, rootMembers } from '../steps/archive-members.js';
import { goJson } from './go-format.js';

/** An in-toto statement, as it is stored beside an image. */
export interface Statement {
  readonly predicateType: string;
  readonly subject: readonly { readonly digest: Readonly<Record<string, string>> }[];
}

export interface NamedStatement {
  readonly file: string;
  readonly statement: Statement;
}

export interface RootfsPart {
  readonly tree: ImageTree;
  /** Of the image's manifest. */
  readonly image: Digest;
  readonly statements: readonly NamedStatement[];
  /** Where its files go; the root when absent. */
  readonly folder?: string;
}

/** That no file of one platform stands where one of another does. @throws AppError IMAGE_PLATFORMS_COLLIDE */
export function checkApart(parts: readonly RootfsPart[]): void {
  const taken = new Set<string>();
  for (const { tree } of parts) {
    const own: string[] = [];
    for (const { path, type } of tree.walk('')) if (type !== 'directory') own.push(path);
    const twice = own.find((path) => taken.has(path));
    if (twice !== undefined) {
      throw new AppError('IMAGE_PLATFORMS_COLLIDE', `${quoteName(twice)} is in the images of several platforms`, {
        kind: 'conflict',
        hint: 'a folder for each platform (platform-split=true), or other names: COPY … /bin/app-$TARGETARCH',
      });
    }
    for (const path of own) taken.add(path);
  }
}

export async function* rootfsMembers(
  parts: readonly RootfsPart[],
  epochSeconds?: number,
): AsyncGenerator<TarMember, void, undefined> {
  const dated = epochSeconds === undefined ? {} : { mtimeSeconds: epochSeconds };
  const folded = new Set<string>();
  for (const part of parts) {
    const prefix = part.folder === undefined ? '' : `${part.folder}/`;
    for (const { entry, body } of part.folder === undefined ? [] : folders([part.folder])) {
      yield { entry: copyEntry(entry, dated), body };
    }
    for await (const { entry, body } of partMembers(part)) {
      const { path, type, linkTarget } = entry;
      // Where platforms share a root, they share its folders.
      if (type === 'directory' && part.folder === undefined) {
        if (folded.has(path)) continue;
        folded.add(path);
      }
      const led = type === 'hardlink' && linkTarget !== undefined ? { linkTarget: prefix + linkTarget } : {};
      yield { entry: copyEntry(entry, { path: prefix + path, ...led, ...dated }), body };
    }
  }
}

/** The statements come last: by then every file has passed and its hash is known. */
async function* partMembers({ tree, image, statements }: RootfsPart): AsyncGenerator<TarMember, void, undefined> {
  const hashes = new Map<string, string>();
  for await (const { entry, body } of completeChangeset(rootMembers(tree), tree)) {
    if (statements.length === 0 || entry.type !== 'file') yield { entry, body };
    else yield { entry, body: hashed(body, (sha256) => hashes.set(entry.path, sha256)) };
    const target = entry.type === 'hardlink' ? hashes.get(entry.linkTarget ?? '') : undefined;
    if (target !== undefined) hashes.set(entry.path, target);
  }
  const files = [...hashes].map(([name, sha256]) => ({ name, digest: { sha256 } }));
  for (const { file, statement } of statements) {
    const isOfImage = statement.subject.every(({ digest: { sha256 } }) => sha256 === digestHex(image));
    const bytes = Buffer.from(goJson({ ...statement, subject: isOfImage ? files : statement.subject }, 2));
    const { entry, body } = bytesMember(file, bytes);
    yield { entry: copyEntry(entry, { mode: 0o600 }), body };
  }
}

async function* hashed(
  body: AsyncIterable<Uint8Array>,
  done: (sha256: string) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createHash('sha256');
  for await (const chunk of body) {
    hash.update(chunk);
    yield chunk;
  }
  done(hash.digest('hex'));
}
