/** A source policy at the places where a build resolves sources: images, what ADD fetches, contexts. */
import { AppError } from '../../errors/index.js';
import { formatReference, parseReference } from '../../oci/index.js';
import { contextAddress } from '../context/fetched-contexts.js';
import { contentChecksum, parseRemote } from '../fetch/remote-source.js';
import {
  imageIdentifier,
  layoutIdentifier,
  localIdentifier,
  remoteIdentifier,
  type SourceIdentifier,
} from '../plan/source-identifiers.js';
import type { RemoteRef } from '../plan/steps.js';
import type { BuildRequest, NamedContext, RemoteContext, SourcePolicy } from '../types.js';
import { SourceRules } from './source-policy.js';

/** Every method throws BUILD_SOURCE_DENIED without a place, BUILD_SOURCE_POLICY_… when the policy makes no sense. */
export class PolicedSources {
  private readonly rules: readonly SourceRules[];

  /** @param host the rules of whoever runs the builder: they have the last word */
  constructor(policy: SourcePolicy | undefined, host?: SourceRules) {
    this.rules = [...(policy === undefined ? [] : [new SourceRules(policy)]), ...(host === undefined ? [] : [host])];
  }

  /** @param name as in FROM @returns the name to look up */
  image(name: string): string {
    const before = imageIdentifier(name);
    const after = this.evaluate(before);
    onlyAttrs(before, after, []);
    if (after.identifier === before.identifier) return name;
    const reference = /^docker-image:\/\/(.+)$/.exec(after.identifier)?.[1];
    if (reference === undefined) throw otherKind(before, after, 'docker-image://<reference>');
    // Without a host our own registry comes first; a digest or another tag does not change that.
    const named = parseReference(reference);
    if (parseReference(name).registry !== undefined || named.registry !== 'docker.io') return reference;
    const { registry: _, repository, ...rest } = named;
    return formatReference({ ...rest, repository: repository.replace(/^library\//, '') });
  }

  /** What the name turned out to be. @param name that was looked up @param found the same, with its digest */
  found(name: string, found: string): void {
    const { digest } = parseReference(found);
    if (digest === undefined) return;
    const source = imageIdentifier(name);
    const { digest: _, ...rest } = parseReference(source.identifier.replace(/^docker-image:\/\//, ''));
    const pinned = { ...source, identifier: `docker-image://${formatReference({ ...rest, digest })}` };
    for (const rules of this.rules) rules.check(source, pinned);
  }

  layout(digest: string): void {
    this.unconverted(layoutIdentifier(digest));
  }

  local(name: string): void {
    this.unconverted(localIdentifier(name));
  }

  /** What is fetched instead. A file keeps the name it has in the image. */
  remote(remote: RemoteRef): RemoteRef {
    const before = remoteIdentifier(remote);
    const after = this.evaluate(before);
    if (after === before) return remote;
    return remote.kind === 'http' ? httpAfter(remote, before, after) : gitAfter(remote, before, after);
  }

  /** An address that a RUN asks for through its proxy. @returns what it gets instead */
  requested(method: string, url: string): string {
    const before: SourceIdentifier = { identifier: withoutPassword(url), attrs: {} };
    const after = this.evaluate(before);
    if (after === before) return url;
    onlyAttrs(before, after, []);
    if (method !== 'GET') throw unsuitable(`${method} ${before.identifier} cannot be converted`, 'only GET can');
    if (!/^https?:\/\//.test(after.identifier)) throw otherKind(before, after, 'the URL of a file');
    return after.identifier;
  }

  /** The request with the contexts that are to be fetched; what was sent is `local://context` and `local://dockerfile`. */
  contexts<T extends Pick<BuildRequest, 'context' | 'contexts'>>(request: T): T {
    if (this.rules.length === 0) return request;
    const { context, contexts } = request;
    if (typeof context === 'string') for (const name of ['context', 'dockerfile']) this.local(name);
    const named = Object.entries(contexts ?? {}).map(([name, each]) => [name, this.named(name, each)] as const);
    return {
      ...request,
      context: typeof context === 'string' ? context : this.address(context),
      ...(contexts === undefined ? {} : { contexts: Object.fromEntries(named) }),
    };
  }

  private named(name: string, context: NamedContext): NamedContext {
    if ('context' in context) this.local(name);
    return 'url' in context ? this.address(context) : context;
  }

  private address(context: RemoteContext): RemoteContext {
    const before = contextAddress(context);
    const after = this.remote(before);
    return after === before ? context : { url: addressOf(after) };
  }

  private evaluate(source: SourceIdentifier): SourceIdentifier {
    return this.rules.reduce((current, rules) => rules.evaluate(current), source);
  }

  private unconverted(before: SourceIdentifier): void {
    const after = this.evaluate(before);
    if (after !== before) throw otherKind(before, after, 'such a source may be allowed or denied');
  }
}

function httpAfter(remote: RemoteRef & { kind: 'http' }, before: SourceIdentifier, after: SourceIdentifier): RemoteRef {
  onlyAttrs(before, after, ['http.checksum']);
  const { 'http.checksum': checksum } = after.attrs;
  if (!/^https?:\/\//.test(after.identifier)) throw otherKind(before, after, 'the URL of a file');
  const parsed = parseRemote(after.identifier, {});
  if (parsed.kind !== 'http') throw otherKind(before, after, 'the URL of a file');
  return { ...remote, url: parsed.url, ...(checksum === undefined ? {} : { checksum: contentChecksum(checksum) }) };
}

function gitAfter(remote: RemoteRef & { kind: 'git' }, before: SourceIdentifier, after: SourceIdentifier): RemoteRef {
  onlyAttrs(before, after, ['git.fullurl', 'git.checksum']);
  const { 'git.fullurl': fullUrl = remote.url, 'git.checksum': checksum } = after.attrs;
  const [, place, fragment = ''] = /^git:\/\/([^#]+)(?:#(.*))?$/.exec(after.identifier) ?? [];
  if (place === undefined) throw otherKind(before, after, 'git://<host>/<path>.git#<ref>');
  const moved = before.identifier.replace(/#.*$/, '') !== `git://${place}`;
  const url = fullUrl === remote.url && moved ? `${new URL(remote.url).protocol}//${place}` : fullUrl;
  const flags = checksum === undefined ? {} : { checksum };
  const parsed = parseRemote(fragment === '' ? url : `${url}#${fragment}`, flags);
  if (parsed.kind !== 'git') throw otherKind(before, after, 'an address that ends in .git');
  const { keepGitFolder, skipSubmodules } = remote;
  return { ...parsed, keepGitFolder, skipSubmodules };
}

/** As a context is named. @throws AppError BUILD_SOURCE_POLICY_INVALID */
function addressOf(remote: RemoteRef): string {
  if (remote.kind === 'http') {
    if (remote.checksum === undefined) return remote.url;
    throw unsuitable('http.checksum cannot be set of a context', 'a rule that changes the identifier');
  }
  const { url, ref, subfolder, checksum, keepGitFolder, skipSubmodules } = remote;
  const query = new URLSearchParams({
    ...(ref === '' ? {} : { ref }),
    ...(subfolder === '' ? {} : { subdir: subfolder }),
    ...(checksum === undefined ? {} : { checksum }),
    ...(keepGitFolder ? { 'keep-git-dir': 'true' } : {}),
    ...(skipSubmodules ? { submodules: 'false' } : {}),
  });
  return query.size === 0 ? url : `${url}?${query.toString()}`;
}

function withoutPassword(url: string): string {
  const plain = new URL(url);
  plain.username = '';
  plain.password = '';
  return plain.href;
}

function onlyAttrs(before: SourceIdentifier, after: SourceIdentifier, known: readonly string[]): void {
  const changed = Object.entries(after.attrs).find(([key, value]) => before.attrs[key] !== value);
  if (changed === undefined || known.includes(changed[0])) return;
  const accepted = known.length === 0 ? 'no attribute for such a source' : known.join(' or ');
  throw unsuitable(`${changed[0]} cannot be set of ${before.identifier}`, accepted);
}

function otherKind(before: SourceIdentifier, after: SourceIdentifier, accepted: string): AppError {
  return unsuitable(`${before.identifier} cannot become ${after.identifier}`, accepted);
}

function unsuitable(why: string, accepted: string): AppError {
  return new AppError('BUILD_SOURCE_POLICY_INVALID', `the source policy: ${why}`, { hint: accepted });
}
