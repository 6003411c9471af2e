/** Package URLs of images (purl-spec, type `docker`), in the form that BuildKit gives them. */
import { formatPlatform, type Platform, type Reference } from '../../oci/index.js';

/**
 * `pkg:docker/alpine@3.20?platform=linux%2Famd64`. A tag goes before a digest, which then stands beside the URL; a name
 * without a host stays one, though it means our own registry here.
 * @param type `oci` for an image that is in no registry
 */
export function imageUrl(
  { registry, repository, tag, digest }: Reference,
  platform?: Platform,
  type: 'docker' | 'oci' = 'docker',
): string {
  const hub = registry === undefined || registry === 'docker.io' || registry === 'index.docker.io';
  const name = hub ? repository.replace(/^library\//, '') : `${registry}/${repository}`;
  const version = tag ?? (digest === undefined ? 'latest' : undefined);
  const qualifiers = [
    ...(tag === undefined && digest !== undefined ? [`digest=${encode(digest)}`] : []),
    ...(platform === undefined ? [] : [`platform=${encode(formatPlatform(platform))}`]),
  ];
  const path = name.split('/').map(encode).join('/');
  const query = qualifiers.length === 0 ? '' : `?${qualifiers.join('&')}`;
  return `pkg:${type}/${path}${version === undefined ? '' : `@${encode(version)}`}${query}`;
}

/** Percent encoding as purl-spec has it: a colon stays. */
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll('%3A', ':');
}
