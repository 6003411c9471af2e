/**
 * The files of a commit as members of a layer: read out of git's object store, never checked out, so that filters and
 * attributes do nothing. A submodule is a folder with the files of the other repository.
 */
import { createReadStream } from 'node:fs';
import { readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../errors/index.js';
import { comparePaths, copyEntry, type ImageTree, type LayerEntry, type TarMember } from '../../layers/index.js';
import type { GitCommand } from './git-command.js';
import type { RemoteRef } from '../plan/steps.js';

type GitRef = RemoteRef & { readonly kind: 'git' };

export interface GitFile {
  readonly mode: string;
  readonly id: string;
  readonly sizeBytes: number;
  readonly path: string;
}

export async function listFiles(git: GitCommand, remote: GitRef, commit: string): Promise<readonly GitFile[]> {
  const at = remote.subfolder === '' ? `${commit}^{tree}` : `${commit}:${remote.subfolder}`;
  const type = await git.try('cat-file', '-t', at);
  if (type.exitCode !== 0 || type.stdout.trim() !== 'tree') {
    throw new AppError('BUILD_GIT_REF_UNKNOWN', `${remote.url} has no folder ${JSON.stringify(remote.subfolder)}`, {
      kind: 'not-found',
    });
  }
  const listed = (await git.run('ls-tree', '-r', '-t', '-z', '-l', '--full-tree', at)).split('\0');
  const files: GitFile[] = [];
  for (const line of listed) {
    const match = /^(\d{6}) \S+ ([0-9a-f]+) +(\d+|-)\t([\s\S]+)$/.exec(line);
    if (match === null) continue;
    const [, mode = '', id = '', size = '', path = ''] = match;
    if (path.split('/').some((part) => ['', '.', '..', '.git'].includes(part.toLowerCase()))) {
      throw new AppError('BUILD_GIT_FAILED', `${remote.url} has a file named ${JSON.stringify(path)}`, {
        kind: 'failed',
      });
    }
    files.push({ mode, id, sizeBytes: size === '-' ? 0 : Number(size), path });
  }
  return files.sort((a, b) => comparePaths(a.path, b.path));
}

/** @param submodules the trees of gitlinks, by path; one that is not there stays an empty folder, as with git */
export async function* fileMembers(
  git: GitCommand,
  files: readonly GitFile[],
  submodules: ReadonlyMap<string, ImageTree>,
  { mtimeSeconds, fileMode }: { readonly mtimeSeconds: number; readonly fileMode: number },
): AsyncGenerator<TarMember, void, undefined> {
  const objects = git.objects(files.filter(({ mode }) => mode !== '040000' && mode !== '160000').map(({ id }) => id));
  try {
    for (const { mode, path, sizeBytes } of files) {
      const entry = { path, uid: 0, gid: 0, mtimeSeconds, sizeBytes: 0 };
      if (mode === '040000' || mode === '160000') {
        yield { entry: { ...entry, type: 'directory', mode: 0o755 }, body: nothing() };
        yield* submoduleMembers(path, submodules.get(path));
        continue;
      }
      const next = await objects.next();
      if (next.done === true) throw new AppError('BUILD_GIT_FAILED', 'git cat-file broke off', { kind: 'failed' });
      if (mode === '120000') {
        const chunks: Uint8Array[] = [];
        for await (const chunk of next.value) chunks.push(chunk);
        const linkTarget = Buffer.concat(chunks).toString('utf8');
        yield { entry: { ...entry, type: 'symlink', mode: 0o777, linkTarget }, body: nothing() };
        continue;
      }
      const file: LayerEntry = { ...entry, type: 'file', mode: mode === '100755' ? 0o755 : fileMode, sizeBytes };
      yield { entry: file, body: next.value };
    }
  } finally {
    await objects.return();
  }
}

/** A folder of the parent, and in it the files of the other repository. */
async function* submoduleMembers(
  folder: string,
  tree: ImageTree | undefined,
): AsyncGenerator<TarMember, void, undefined> {
  if (tree === undefined) return;
  const contents = tree.contents();
  try {
    for (const entry of tree.walk()) {
      yield { entry: copyEntry(entry, { path: `${folder}/${entry.path}` }), body: contents.read(entry) };
    }
  } finally {
    await contents.close();
  }
}

/** The repository as a person would find it after a clone, without anything that tells of this machine or moment. */
export async function tidyRepository(
  git: GitCommand,
  directory: string,
  commit: string,
  remote: GitRef,
): Promise<void> {
  await git.run('config', 'core.bare', 'false');
  await git.run('config', 'remote.origin.url', remote.url);
  await git.run('config', 'remote.origin.fetch', '+refs/heads/*:refs/remotes/origin/*');
  await git.run('read-tree', commit);
  await writeFile(join(directory, 'HEAD'), `${commit}\n`);
  for (const name of ['FETCH_HEAD', 'ORIG_HEAD', 'logs'])
    await rm(join(directory, name), { recursive: true, force: true });
}

/** Small files, except for packs, which are read as they are needed. */
export async function* repositoryMembers(
  directory: string,
  mtimeSeconds: number,
): AsyncGenerator<TarMember, void, undefined> {
  const names = await readdir(directory, { recursive: true });
  const base = { uid: 0, gid: 0, mtimeSeconds };
  yield { entry: { ...base, path: '.git', type: 'directory', mode: 0o755, sizeBytes: 0 }, body: nothing() };
  for (const name of names.sort(comparePaths)) {
    const path = join(directory, name);
    const info = await stat(path);
    const entry = { ...base, path: `.git/${name}` };
    if (info.isDirectory())
      yield { entry: { ...entry, type: 'directory', mode: 0o755, sizeBytes: 0 }, body: nothing() };
    else if (info.isFile())
      yield { entry: { ...entry, type: 'file', mode: 0o644, sizeBytes: info.size }, body: contentOf(path) };
  }
}

async function* contentOf(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of createReadStream(path)) yield chunk as Buffer;
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {
  // An entry without content.
}
