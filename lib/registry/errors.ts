/** The registry's refusals, under the codes of the OCI distribution-spec (section Error Codes). */
import { AppError } from '../errors/index.js';
import { type Digest, isRepositoryName, isTag } from '../oci/index.js';

/** @throws AppError NAME_INVALID */
export function checkRepositoryName(name: string): void {
  if (isRepositoryName(name)) return;
  throw new AppError('NAME_INVALID', `${JSON.stringify(name.slice(0, 300))} is not a repository name`, {
    hint: 'lower-case letters and digits, parted by single . _ or - and /, at most 255 characters',
    details: { name: name.slice(0, 300) },
  });
}

/** @throws AppError MANIFEST_INVALID */
export function checkTag(tag: string): void {
  if (isTag(tag)) return;
  throw new AppError('MANIFEST_INVALID', `${JSON.stringify(tag.slice(0, 200))} is not a tag`, {
    hint: 'a letter, digit or _, then up to 127 of letters, digits, . _ -',
  });
}

export function blobUnknown(repository: string, digest: Digest): AppError {
  return new AppError('BLOB_UNKNOWN', `repository ${repository} has no blob ${digest}`, {
    kind: 'not-found',
    details: { repository, digest },
  });
}

export function manifestBlobUnknown(repository: string, missing: readonly Digest[]): AppError {
  const shown = missing.slice(0, 5).join(', ') + (missing.length > 5 ? `, and ${missing.length - 5} more` : '');
  return new AppError('MANIFEST_BLOB_UNKNOWN', `the manifest names what repository ${repository} has not: ${shown}`, {
    hint: 'push the blobs and child manifests first; they may be missing only where `wharf registry sparse` says so',
    details: { missing },
  });
}

export function manifestInvalid(message: string, hint?: string): AppError {
  return new AppError('MANIFEST_INVALID', message, hint === undefined ? {} : { hint });
}

export function digestMismatch(expected: Digest, actual: Digest): AppError {
  return new AppError('DIGEST_INVALID', `the content has digest ${actual}, not ${expected}`, {
    details: { expected, actual },
  });
}

export function nameUnknown(repository: string): AppError {
  return new AppError('NAME_UNKNOWN', `there is no repository ${repository}`, { kind: 'not-found' });
}

export function manifestUnknown(repository: string, reference: string): AppError {
  return new AppError('MANIFEST_UNKNOWN', `repository ${repository} has no manifest ${reference}`, {
    kind: 'not-found',
  });
}
