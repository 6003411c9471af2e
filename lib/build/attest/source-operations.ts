/** Where files come from, as source operations of BuildKit (solver/pb/attr.go, client/llb/source.go there). */
import { formatReference, parseReference, type Platform } from '../../oci/index.js';
import type { BaseImage, RemoteRef } from '../plan/steps.js';
import { isLayout } from './dependencies.js';

/** A vertex of the graph without its inputs. */
export type Operation = object & { readonly Op: object };

export function imageSource({ name, platform }: BaseImage): Operation {
  return {
    ...sourceOperation(isLayout(name) ? `oci-layout://${name}` : `docker-image://${wholeName(name)}`),
    ...platformOf(platform),
  };
}

/** What came from the client, by its name. */
export function localSource(name: string): Operation {
  return sourceOperation(`local://${name}`);
}

export function remoteSource(remote: RemoteRef): Operation {
  if (remote.kind === 'http') {
    const { checksum, name } = remote;
    return sourceOperation(remote.url, {
      'http.filename': name,
      ...(checksum === undefined ? {} : { 'http.checksum': checksum }),
    });
  }
  const { url, ref, subfolder, checksum, keepGitFolder } = remote;
  const fragment = subfolder === '' ? ref : `${ref}:${subfolder}`;
  return sourceOperation(`git://${url.replace(/^[a-z]+:\/\//, '')}${fragment === '' ? '' : `#${fragment}`}`, {
    'git.fullurl': url,
    ...(checksum === undefined ? {} : { 'git.checksum': checksum }),
    ...(keepGitFolder ? { 'git.keepgitdir': 'true' } : {}),
  });
}

export function platformOf({ architecture, os, variant }: Platform): object {
  return { platform: { Architecture: architecture, OS: os, ...(variant === undefined ? {} : { Variant: variant }) } };
}

function sourceOperation(identifier: string, attrs: Readonly<Record<string, string>> = {}): Operation {
  return { Op: { source: { identifier, ...(Object.keys(attrs).length === 0 ? {} : { attrs }) } } };
}

/** With docker.io in front where no host is. */
function wholeName(name: string): string {
  const reference = parseReference(name);
  if (reference.registry !== undefined) return name;
  const { repository } = reference;
  const whole = repository.includes('/') ? repository : `library/${repository}`;
  return formatReference({ ...reference, registry: 'docker.io', repository: whole });
}
