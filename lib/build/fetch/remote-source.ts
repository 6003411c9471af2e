/**
 * What ADD may fetch, read from the word that names it: a URL, or a git repository with `#ref:subfolder` or a query
 * (BuildKit's dfgitutil). Only the name is looked at here; fetching is `remote-files.ts`.
 */
import { posix } from 'node:path';
import { type Digest, parseDigest } from '../../oci/index.js';
import { refusal, unsupported } from '../build-errors.js';
import type { RemoteRef } from '../plan/steps.js';
import { isShortSsh, sshAddress } from './git-address.js';

export interface RemoteFlags {
  readonly checksum?: string;
  readonly keepGitFolder?: boolean;
}

/** Whether the word names something outside of the context. `git@host:path` is ssh's short form. */
export function isRemote(word: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(word) || isShortSsh(word);
}

/**
 * @param what names the word in a refusal
 * @throws AppError BUILD_UNSUPPORTED_ADD_…, BUILD_REMOTE_INVALID, BUILD_CHECKSUM_INVALID
 */
export function parseRemote(word: string, flags: RemoteFlags, what = 'ADD'): RemoteRef {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(word)?.[1]?.toLowerCase() ?? 'ssh';
  if (scheme === 'ssh') return sshRef(word, flags);
  if (scheme !== 'http' && scheme !== 'https') {
    throw unsupported(
      'ADD_REMOTE',
      `${what} ${withoutUser(word)}: sources over ${scheme} are not offered`,
      'http or https; a git repository by its https address that ends in .git, or over ssh',
      word,
    );
  }
  const url = URL.canParse(word) ? new URL(word) : undefined;
  if (url === undefined) throw invalid(word, 'is no URL', 'https://example.com/file');
  if (url.username !== '' || url.password !== '') {
    const hint = `a secret HTTP_AUTH_TOKEN_${url.host} or HTTP_AUTH_HEADER_${url.host}; for git GIT_AUTH_TOKEN`;
    const message = `${what} ${withoutUser(word)} has a user or password in it, which would be kept`;
    throw refusal('BUILD_REMOTE_INVALID', message, { hint, word });
  }
  return url.pathname.endsWith('.git') ? gitRef(url, word, flags) : httpRef(url, word, flags);
}

function httpRef(url: URL, word: string, flags: RemoteFlags): RemoteRef {
  if (flags.keepGitFolder === true) {
    throw invalid(word, 'is no git repository, which --keep-git-dir needs', 'an address that ends in .git');
  }
  url.hash = '';
  return {
    kind: 'http',
    url: url.href,
    name: nameOf(url, word),
    ...(flags.checksum === undefined ? {} : { checksum: contentChecksum(flags.checksum) }),
  };
}

/** The last part of the path; docker's name for none. */
function nameOf(url: URL, word: string): string {
  let path: string;
  try {
    path = decodeURIComponent(url.pathname);
  } catch {
    throw invalid(word, 'has a path that is not well encoded', '%25 for a percent sign');
  }
  const name = posix.basename(path);
  if (name.includes('\0')) throw invalid(word, 'names a file with a NUL in it', 'another URL');
  return name === '' || name === '.' || name === '..' ? '__unnamed__' : name;
}

/** @throws AppError BUILD_CHECKSUM_INVALID */
export function contentChecksum(text: string): Digest {
  if (!/^sha256:[0-9a-f]{64}$/.test(text)) throw badChecksum(text, 'sha256: and 64 hexadecimal digits');
  return parseDigest(text);
}

interface GitDraft {
  ref: string;
  subfolder: string;
  checksum: string | undefined;
  keep: boolean;
  skipSubmodules: boolean;
  /** Ask for the commit of the checksum, not for the ref, which may have moved on. */
  byCommit: boolean;
}

function gitRef(url: URL, word: string, flags: RemoteFlags): RemoteRef {
  const { hash, searchParams } = url;
  const bare = new URL(url);
  bare.hash = '';
  bare.search = '';
  return repositoryAt(bare.href, { fragment: decodeURIComponent(hash.slice(1)), query: searchParams }, word, flags);
}

/** Any path may be a repository here: nothing else is fetched over ssh. */
function sshRef(word: string, flags: RemoteFlags): RemoteRef {
  const [, url = '', query = '', fragment = ''] = /^([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s.exec(word) ?? [];
  sshAddress(url);
  return repositoryAt(url, { fragment, query: new URLSearchParams(query) }, word, flags);
}

function repositoryAt(
  url: string,
  { fragment, query }: { readonly fragment: string; readonly query: URLSearchParams },
  word: string,
  flags: RemoteFlags,
): RemoteRef {
  const colon = fragment.indexOf(':');
  const draft: GitDraft = {
    ref: colon < 0 ? fragment : fragment.slice(0, colon),
    subfolder: colon < 0 ? '' : fragment.slice(colon + 1),
    checksum: flags.checksum,
    keep: flags.keepGitFolder ?? false,
    skipSubmodules: false,
    byCommit: false,
  };
  for (const [name, value] of query) readQuery(draft, name, value, word);
  // A ref is an argument of git: what begins with a dash would be an option.
  if (!/^[^-\s~^:?*[\\][^\s~^:?*[\\]*$|^$/.test(draft.ref) || draft.ref.includes('..')) {
    throw invalid(word, `has no usable git reference: ${JSON.stringify(draft.ref)}`, 'a branch, a tag or a commit');
  }
  const { checksum } = draft;
  if (checksum !== undefined && !/^[0-9a-f]{4,64}$/i.test(checksum)) {
    throw badChecksum(checksum, 'for git the beginning of a commit, at least 4 hexadecimal digits');
  }
  return {
    kind: 'git',
    url,
    ref: draft.byCommit && /^[0-9a-f]{40}$/i.test(checksum ?? '') ? (checksum ?? '').toLowerCase() : draft.ref,
    subfolder: posix.join('/', draft.subfolder).replace(/^\/+|\/+$/g, ''),
    keepGitFolder: draft.keep,
    skipSubmodules: draft.skipSubmodules,
    ...(checksum === undefined ? {} : { checksum: checksum.toLowerCase() }),
  };
}

function readQuery(draft: GitDraft, name: string, value: string, word: string): void {
  const refs = { ref: '', tag: 'refs/tags/', branch: 'refs/heads/' } as const;
  const is = (): boolean => {
    if (/^(|1|t|true)$/i.test(value)) return true;
    if (/^(0|f|false)$/i.test(value)) return false;
    throw invalid(word, `has ${name}=${JSON.stringify(value)}`, `${name}=true or false`);
  };
  const once = (before: string | undefined, now: string): string => {
    if (before === undefined || before === '' || before === now) return now;
    throw invalid(word, `says both ${before} and ${now}`, `${name} once`);
  };
  if (name === 'ref' || name === 'tag' || name === 'branch') {
    const prefix = refs[name];
    draft.ref = once(draft.ref, value.startsWith(prefix) ? value : prefix + value);
  } else if (name === 'subdir') draft.subfolder = once(draft.subfolder, value);
  else if (name === 'checksum' || name === 'commit') draft.checksum = once(draft.checksum, value);
  else if (name === 'keep-git-dir') draft.keep = is();
  else if (name === 'submodules') draft.skipSubmodules = !is();
  else if (name === 'fetch-by-commit') draft.byCommit = is();
  else if (name === 'mtime') {
    // Files have the time of their commit either way: a checkout's time is that of a clock.
    if (value !== 'commit' && value !== 'checkout') throw invalid(word, `has mtime=${value}`, 'mtime=commit');
  } else
    throw invalid(
      word,
      `has an unknown query "${name}"`,
      'ref, tag, branch, subdir, checksum, keep-git-dir, submodules, fetch-by-commit, mtime',
    );
}

function withoutUser(word: string): string {
  return word.replace(/\/\/[^/@]*@/, '//');
}

function invalid(word: string, what: string, hint: string): Error {
  return refusal('BUILD_REMOTE_INVALID', `ADD ${word} ${what}`, { hint, word });
}

function badChecksum(text: string, hint: string): Error {
  return refusal('BUILD_CHECKSUM_INVALID', `--checksum=${text} is no checksum`, { hint, word: '--checksum' });
}
