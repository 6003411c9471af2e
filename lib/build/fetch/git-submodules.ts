/**
 * Submodules of a commit: which repository each gitlink stands for, as `git submodule update --init --recursive` would
 * find it. What `.gitmodules` says comes from whoever wrote the repository, so it is checked like a word of ADD.
 */
import { AppError } from '../../errors/index.js';
import { besideRepository } from './git-address.js';
import type { GitCommand } from './git-command.js';
import type { GitFile } from './git-files.js';
import { parseRemote } from './remote-source.js';
import type { RemoteRef } from '../plan/steps.js';

type GitRef = RemoteRef & { readonly kind: 'git' };

export interface Submodule {
  /** As the parent's files are named. */
  readonly path: string;
  /** Its repository at the commit that the parent names. */
  readonly remote: GitRef;
}

/** One in the other. */
const MAX_DEPTH = 5;
const MAX_SUBMODULES = 200;

/** @param depth of the parent, from 0 @throws AppError BUILD_GIT_SUBMODULE, BUILD_REMOTE_INVALID, BUILD_UNSUPPORTED_… */
export async function submodulesOf(
  git: GitCommand,
  remote: GitRef,
  commit: string,
  files: readonly GitFile[],
  depth: number,
): Promise<readonly Submodule[]> {
  const links = files.filter(({ mode }) => mode === '160000');
  if (links.length === 0 || remote.skipSubmodules) return [];
  if (depth >= MAX_DEPTH || links.length > MAX_SUBMODULES) {
    const what = depth >= MAX_DEPTH ? `submodules ${depth + 1} deep` : `${links.length} submodules`;
    throw refuse(remote, `has ${what}`, `at most ${MAX_DEPTH} deep and ${MAX_SUBMODULES} in one repository`);
  }
  const urls = await urlsByPath(git, commit);
  return links.map(({ path, id }) => {
    const full = remote.subfolder === '' ? path : `${remote.subfolder}/${path}`;
    const url = urls.get(full);
    if (url === undefined) throw refuse(remote, `has a submodule at ${full} that .gitmodules does not name`);
    return { path, remote: pinned(besideRepository(url, remote.url), id, remote) };
  });
}

/** What `.gitmodules` of the commit says. */
async function urlsByPath(git: GitCommand, commit: string): Promise<ReadonlyMap<string, string>> {
  const listed = await git.try('config', '--blob', `${commit}:.gitmodules`, '-z', '--list');
  const paths = new Map<string, string>();
  const urls = new Map<string, string>();
  for (const line of listed.stdout.split('\0')) {
    const [, name = '', key = '', value = ''] = /^submodule\.([\s\S]+)\.(path|url)\n([\s\S]*)$/.exec(line) ?? [];
    if (key === 'path') paths.set(name, value.replace(/\/+$/, ''));
    if (key === 'url') urls.set(name, value);
  }
  return new Map([...paths].map(([name, path]) => [path, urls.get(name) ?? '']));
}

function pinned(url: string, ref: string, parent: GitRef): GitRef {
  // Any address may be a repository here, also one that does not end in .git.
  const word = /^https?:\/\/[^?#]*$/.test(url) && !/\.git\/?$/.test(url) ? `${url.replace(/\/+$/, '')}.git` : url;
  const parsed = parseRemote(word, {}, `a submodule of ${parent.url} at`);
  if (parsed.kind !== 'git') throw refuse(parent, `has a submodule at ${JSON.stringify(url)}, which is no repository`);
  const mode = parent.fileMode === undefined ? {} : { fileMode: parent.fileMode };
  return { ...parsed, url: word === url ? parsed.url : parsed.url.replace(/\.git$/, ''), ref, subfolder: '', ...mode };
}

function refuse(remote: GitRef, what: string, hint?: string): AppError {
  return new AppError('BUILD_GIT_SUBMODULE', `${remote.url} ${what}`, {
    kind: 'failed',
    hint: hint ?? 'the address with ?submodules=false takes the rest; ADD the submodule by its own address',
  });
}
