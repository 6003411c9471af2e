/** Sources by the names BuildKit has for them (solver/pb/attr.go, client/llb/source.go there): provenance and policies use these. */
import { formatReference, parseReference } from '../../oci/index.js';
import type { RemoteRef } from './steps.js';

export interface SourceIdentifier {
  readonly identifier: string;
  readonly attrs: Readonly<Record<string, string>>;
}

const NO_ATTRS = {};

/** @param name as in FROM; `docker.io` stands in front where no host is, `latest` behind where nothing is */
export function imageIdentifier(name: string): SourceIdentifier {
  const reference = parseReference(name);
  const { registry = 'docker.io', repository, tag, digest } = reference;
  const isShort = registry === 'docker.io' && !repository.includes('/');
  const whole = {
    ...reference,
    registry,
    repository: isShort ? `library/${repository}` : repository,
    ...(tag === undefined && digest === undefined ? { tag: 'latest' } : {}),
  };
  return { identifier: `docker-image://${formatReference(whole)}`, attrs: NO_ATTRS };
}

export function layoutIdentifier(name: string): SourceIdentifier {
  return { identifier: `oci-layout://${name}`, attrs: NO_ATTRS };
}

/** What came from the client. */
export function localIdentifier(name: string): SourceIdentifier {
  return { identifier: `local://${name}`, attrs: NO_ATTRS };
}

export function remoteIdentifier(remote: RemoteRef): SourceIdentifier {
  if (remote.kind === 'http') {
    const { checksum, name } = remote;
    const attrs = { 'http.filename': name, ...(checksum === undefined ? {} : { 'http.checksum': checksum }) };
    return { identifier: remote.url, attrs };
  }
  const { url, ref, subfolder, checksum, keepGitFolder } = remote;
  const fragment = subfolder === '' ? ref : `${ref}:${subfolder}`;
  return {
    identifier: `git://${url.replace(/^[a-z]+:\/\//, '')}${fragment === '' ? '' : `#${fragment}`}`,
    attrs: {
      'git.fullurl': url,
      ...(checksum === undefined ? {} : { 'git.checksum': checksum }),
      ...(keepGitFolder ? { 'git.keepgitdir': 'true' } : {}),
    },
  };
}
