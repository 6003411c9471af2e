/**
 * `ADD https://….git#ref:subfolder` and `ADD git@host:path#ref:subfolder`: the files of a commit, with the time of the
 * commit. The reference is resolved to a commit first; a commit that was fetched before is not fetched again. Files are
 * read out of the object store (`git cat-file`), never checked out.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../errors/index.js';
import { ImageTree, type LayerIndexes, type TarMember, writeLayer } from '../../layers/index.js';
import type { Descriptor, Digest } from '../../oci/index.js';
import type { Clock, ContentStore, RecordKey, RecordStore } from '../../store/index.js';
import { hashFiles } from '../steps/file-hashes.js';
import { hashParts } from '../keys/framing.js';
import type { EgressGuard } from './egress-guard.js';
import { sshAddress } from './git-address.js';
import { GitCommand } from './git-command.js';
import { fileMembers, listFiles, repositoryMembers, tidyRepository } from './git-files.js';
import { submodulesOf } from './git-submodules.js';
import { reachRepository, type RepositoryCall } from './git-reach.js';
import type { FetchLimits, GuardedFetch } from './guarded-fetch.js';
import type { RemoteCall, RemoteFiles } from './remote-files.js';
import type { RemoteRef } from '../plan/steps.js';
import { makeWorkFolder } from './work-folders.js';

type GitRef = RemoteRef & { readonly kind: 'git' };

/** A fetch, of the repository that was named or of one in it. */
interface GitCall extends RepositoryCall {
  readonly depth: number;
}

export interface GitSourceDeps {
  readonly content: ContentStore;
  readonly records: RecordStore;
  readonly indexes: LayerIndexes;
  readonly clock: Clock;
  readonly fetch: GuardedFetch;
  readonly guard: EgressGuard;
  /** Where repositories lie while they are fetched; the temporary folder when absent. */
  readonly workPlace?: string | undefined;
}

/** A commit's files, kept as a layer. */
interface CommitFiles {
  readonly diffId: Digest;
  readonly descriptor: Descriptor;
}

interface FetchedCommit extends CommitFiles {
  readonly commit: string;
}

const KEEP_MS = 90 * 24 * 3600 * 1000;
const COMMIT = /^([0-9a-f]{40}|[0-9a-f]{64})$/;

export class GitSource {
  constructor(
    private readonly deps: GitSourceDeps,
    private readonly limits: FetchLimits,
  ) {}

  async fetch(remote: GitRef, call: RemoteCall): Promise<RemoteFiles> {
    const host = sshAddress(remote.url)?.host ?? new URL(remote.url).host;
    return this.fetchAt(remote, { ...call, depth: 0, host });
  }

  private async fetchAt(remote: GitRef, call: GitCall): Promise<RemoteFiles> {
    const pinned = COMMIT.test(remote.ref) ? checked(remote, remote.ref) : undefined;
    const before = pinned === undefined ? undefined : await this.known(remote, pinned, call.scope);
    const fetched = before ?? (await this.download(remote, pinned, call));
    const tree = ImageTree.empty(this.deps.content).withLayer(await this.deps.indexes.get(fetched));
    const [newest] = tree.list('') ?? [];
    const time = newest === undefined ? {} : { timeSeconds: newest.mtimeSeconds };
    return {
      blob: fetched.descriptor.digest,
      identity: { [fetched.commit.length === 64 ? 'sha256' : 'sha1']: fetched.commit },
      ...time,
      tree,
      fileHashes: (files) => hashFiles(tree, files, call.signal),
    };
  }

  private async known(remote: GitRef, commit: string, scope: string): Promise<FetchedCommit | undefined> {
    const key = keyOf(remote, commit, scope);
    const record = await this.deps.records.get<CommitFiles>(key);
    if (record === undefined) return undefined;
    return (await this.hold(key, record.value)) ? { ...record.value, commit } : undefined;
  }

  /** Keeps the files from the collector for as long as the record lives. */
  private async hold(key: RecordKey, { descriptor }: CommitFiles): Promise<boolean> {
    return (await this.deps.content.hold(descriptor.digest, key.partition, { forMs: KEEP_MS })) !== undefined;
  }

  private async download(remote: GitRef, pinned: string | undefined, call: GitCall): Promise<FetchedCommit> {
    const folder = await makeWorkFolder(this.deps.workPlace);
    const directory = join(folder, 'repository');
    let close = async (): Promise<void> => undefined;
    try {
      await mkdir(directory);
      const reached = await reachRepository(this.deps, remote.url, { ...call, folder });
      const { transport, url } = reached;
      close = reached.close;
      const { signal } = call;
      const git = new GitCommand({ directory, name: remote.url, transport, ...this.limits, signal });
      const format = COMMIT.test(remote.ref) && remote.ref.length === 64 ? ['--object-format=sha256'] : [];
      await git.run('init', '--quiet', '--bare', '--template=', ...format);
      const { commit, fetchName } =
        pinned === undefined ? await resolveRef(git, remote, url) : { commit: pinned, fetchName: '' };
      const known = await this.known(remote, commit, call.scope);
      if (known !== undefined) return known;
      await fetchCommit(git, url, commit, fetchName);
      const made = await this.keep(remote, git, directory, commit, call);
      const key = keyOf(remote, commit, call.scope);
      await this.hold(key, made);
      await this.deps.records.put(key, made, { expiresAtMs: this.deps.clock.nowMs() + KEEP_MS });
      return { ...made, commit };
    } finally {
      await close();
      await rm(folder, { recursive: true, force: true });
    }
  }

  private async keep(
    remote: GitRef,
    git: GitCommand,
    directory: string,
    commit: string,
    call: GitCall,
  ): Promise<CommitFiles> {
    const files = await listFiles(git, remote, commit);
    const submodules = new Map<string, ImageTree>();
    for (const { path, remote: other } of await submodulesOf(git, remote, commit, files, call.depth)) {
      submodules.set(path, (await this.fetchAt(other, { ...call, depth: call.depth + 1 })).tree);
    }
    const mtimeSeconds = Number((await git.run('show', '--no-patch', '--format=%ct', commit)).trim());
    const own = remote.keepGitFolder && remote.subfolder === '';
    if (own) await tidyRepository(git, directory, commit, remote);
    const members = async function* (): AsyncGenerator<TarMember, void, undefined> {
      if (own) yield* repositoryMembers(directory, mtimeSeconds);
      yield* fileMembers(git, files, submodules, { mtimeSeconds, fileMode: remote.fileMode ?? 0o644 });
    };
    const { content, indexes } = this.deps;
    const written = await writeLayer(members(), { content, compression: 'none', signal: call.signal });
    await indexes.put(written.index);
    return { diffId: written.diffId, descriptor: written.descriptor };
  }
}

function keyOf(remote: GitRef, commit: string, scope: string): RecordKey {
  const { url, subfolder, keepGitFolder, skipSubmodules, fileMode } = remote;
  const mode = fileMode === undefined ? [] : [fileMode];
  const value = JSON.stringify([url, commit, subfolder, keepGitFolder, skipSubmodules, ...mode]);
  const parts = [
    { name: 'scope', value: scope },
    { name: 'files', value },
  ];
  return { partition: `REMOTE-GIT#${hashParts('wharf.remote-git.v2', parts)}`, sort: '-' };
}

/** @throws AppError BUILD_CHECKSUM_MISMATCH */
function checked(remote: GitRef, ...ids: readonly string[]): string {
  const { checksum } = remote;
  if (checksum === undefined || ids.some((id) => id.startsWith(checksum))) return ids[0] ?? '';
  throw new AppError(
    'BUILD_CHECKSUM_MISMATCH',
    `${remote.url} is at ${ids.join(', ')}, and --checksum says ${checksum}`,
    {
      kind: 'failed',
      hint: 'when the change is meant, write the new commit',
      details: { expected: checksum, actual: ids[0], word: '--checksum' },
    },
  );
}

/** A branch goes before a tag of the same name, as in git checkout. */
async function resolveRef(
  git: GitCommand,
  remote: GitRef,
  url: string,
): Promise<{ commit: string; fetchName: string }> {
  const { ref } = remote;
  const wanted = ref === '' ? 'HEAD' : ref;
  const listed = await git.run('ls-remote', '--', url, wanted, `${wanted}^{}`);
  const ids = new Map(
    listed.split('\n').map((line) => [line.slice(line.indexOf('\t') + 1), line.split('\t')[0] ?? '']),
  );
  const bare = ref.replace(/^refs\//, '');
  const names = ref === '' ? ['HEAD'] : [`refs/${bare}`, `refs/heads/${bare}`, `refs/tags/${bare}`];
  const fetchName = names.find((name) => ids.has(name));
  const id = fetchName === undefined ? undefined : ids.get(fetchName);
  if (fetchName === undefined || id === undefined || !COMMIT.test(id)) {
    throw new AppError('BUILD_GIT_REF_UNKNOWN', `${remote.url} has no branch or tag ${JSON.stringify(wanted)}`, {
      kind: 'not-found',
      hint: 'a branch, a tag, or a whole commit id',
    });
  }
  // An annotated tag has an id of its own; the commit it is for counts.
  const commit = ids.get(`${fetchName}^{}`) ?? id;
  checked(remote, commit, id);
  return { commit, fetchName };
}

/** Not every server hands out a commit by its id. */
async function fetchCommit(git: GitCommand, url: string, commit: string, name: string): Promise<void> {
  const flags = ['fetch', '--quiet', '--no-tags', '--no-recurse-submodules', '--no-write-fetch-head'];
  const has = async (): Promise<boolean> => (await git.try('cat-file', '-e', `${commit}^{tree}`)).exitCode === 0;
  const direct = await git.try(...flags, '--depth=1', '--', url, commit);
  if (direct.exitCode === 0 && (await has())) return;
  if (name !== '') await git.try(...flags, '--depth=1', '--', url, name);
  if (name !== '' && (await has())) return;
  await git.run(...flags, '--', url, '+refs/heads/*:refs/remotes/origin/*', '+refs/tags/*:refs/tags/*');
  if (await has()) return;
  throw new AppError('BUILD_GIT_REF_UNKNOWN', `${url} has no commit ${commit}`, { kind: 'not-found' });
}
