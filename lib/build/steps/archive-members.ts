/** Members of the tars that images are exported as: blobs, documents, and the files of a merged tree. */
import { copyEntry, type ImageTree, type TarMember } from '../../layers/index.js';
import type { Digest } from '../../oci/index.js';

/** All entries; names of one file become links to the first of them. */
export async function* rootMembers(tree: ImageTree): AsyncGenerator<TarMember, void, undefined> {
  const first = new Map<number, string>();
  const entries = [...tree.walk()];
  const own = entries.filter((entry) => {
    if (entry.type !== 'file') return true;
    const isFirst = !first.has(entry.inode);
    if (isFirst) first.set(entry.inode, entry.path);
    return isFirst;
  });
  const members = tree.readMembers(own);
  try {
    for (const entry of entries) {
      const linkTarget = entry.type === 'file' ? first.get(entry.inode) : undefined;
      if (linkTarget !== undefined && linkTarget !== entry.path) {
        yield { entry: copyEntry(entry, { type: 'hardlink', linkTarget, sizeBytes: 0 }), body: once(new Uint8Array()) };
        continue;
      }
      const next = await members.next();
      if (next.done !== true) yield next.value;
    }
  } finally {
    await members.return();
  }
}

export function blobPath(digest: Digest): string {
  return `blobs/${digest.replace(':', '/')}`;
}

export function sorted(blobs: ReadonlyMap<Digest, TarMember>): TarMember[] {
  return [...blobs].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, member]) => member);
}

export function folders(paths: readonly string[]): TarMember[] {
  const common = { type: 'directory', mode: 0o755, uid: 0, gid: 0, mtimeSeconds: 0, sizeBytes: 0 } as const;
  return paths.map((path) => ({ entry: { ...common, path }, body: once(new Uint8Array()) }));
}

export function fileEntry(path: string, sizeBytes: number): TarMember['entry'] {
  return { path, type: 'file', mode: 0o644, uid: 0, gid: 0, mtimeSeconds: 0, sizeBytes };
}

export function bytesMember(path: string, bytes: Uint8Array): TarMember {
  return { entry: fileEntry(path, bytes.length), body: once(bytes) };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}
