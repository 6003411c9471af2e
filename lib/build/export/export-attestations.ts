/**
 * Attestations of an image, as BuildKit stores them (docs/attestations/attestation-storage.md there): each is an in-toto
 * statement in a blob of its own, one manifest holds those of one image, and the index names that manifest under the
 * platform `unknown/unknown`, which nobody pulls to run.
 */
import {
  type Descriptor,
  type Digest,
  digestHex,
  digestOf,
  MediaType,
  parseReference,
  type Platform,
} from '../../oci/index.js';
import { imageUrl } from '../attest/image-url.js';
import { byRepository, type ExportDeps, type ExportedImage, parseTag } from './export.js';
import { goJson } from './go-format.js';

export interface Attestation {
  /** What it is called beside the files of the image. */
  readonly file: string;
  readonly predicateType: string;
  readonly predicate: unknown;
  /** What it is about, when that is not the image itself. */
  readonly subjects?: readonly Subject[];
}

export interface Subject {
  readonly name: string;
  readonly digest: Readonly<Record<string, string>>;
}

export interface AttestedImage extends Pick<ExportedImage, 'digest' | 'sizeBytes'> {
  readonly platform: Platform;
}

export interface AttestationOptions {
  readonly tags: readonly string[];
  /** False: it looks like an image, for registries and clients that know no artifacts. */
  readonly ociArtifact?: boolean;
}

const ARTIFACT_TYPE = 'application/vnd.docker.attestation.manifest.v1+json';
const EMPTY = Buffer.from('{}');
const UNKNOWN = { architecture: 'unknown', os: 'unknown' } as const;

/** Writes the statements and their manifest. @returns the index's entry */
export async function exportAttestations(
  deps: ExportDeps,
  image: AttestedImage,
  attestations: readonly Attestation[],
  { tags, ociArtifact = true }: AttestationOptions,
): Promise<Descriptor> {
  const blobs = attestations.map((each) => {
    const bytes = Buffer.from(statement(each, subjectsOf(image, tags)));
    return { bytes, digest: digestOf(bytes), predicateType: each.predicateType };
  });
  const config = ociArtifact ? EMPTY : imageLikeConfig(blobs.map(({ digest }) => digest));
  const manifest = Buffer.from(goJson(manifestOf(image, blobs, config, ociArtifact), 2));
  for (const bytes of [config, ...blobs.map((blob) => blob.bytes)]) await deps.content.putBytes(bytes);
  if (tags.length === 0) await deps.content.putBytes(manifest);
  for (const repository of byRepository(tags.map(parseTag)).keys()) {
    for (const digest of new Set([digestOf(config), ...blobs.map((blob) => blob.digest)])) {
      await deps.images.linkBlob(repository, digest);
    }
    await deps.images.putManifest(repository, manifest, MediaType.ociManifest, []);
  }
  return {
    mediaType: MediaType.ociManifest,
    digest: digestOf(manifest),
    size: manifest.length,
    annotations: {
      'vnd.docker.reference.digest': image.digest,
      'vnd.docker.reference.type': 'attestation-manifest',
    },
    platform: UNKNOWN,
  };
}

/** The image under each of its names; in-toto wants a name where there is none. */
function subjectsOf({ digest, platform }: AttestedImage, tags: readonly string[]): readonly Subject[] {
  const names = tags.map((tag) => imageUrl(parseReference(tag), platform));
  return (names.length === 0 ? ['_'] : names).map((name) => ({ name, digest: { sha256: digestHex(digest) } }));
}

function statement({ predicateType, predicate, subjects }: Attestation, own: readonly Subject[]): string {
  return goJson({
    _type: 'https://in-toto.io/Statement/v1',
    predicateType,
    subject: subjects ?? own,
    predicate,
  });
}

function manifestOf(
  { digest, sizeBytes }: AttestedImage,
  blobs: readonly { readonly bytes: Buffer; readonly digest: Digest; readonly predicateType: string }[],
  config: Buffer,
  ociArtifact: boolean,
): object {
  const configType = ociArtifact ? MediaType.ociEmpty : MediaType.ociConfig;
  const configDescriptor = { mediaType: configType, digest: digestOf(config), size: config.length };
  return {
    schemaVersion: 2,
    mediaType: MediaType.ociManifest,
    ...(ociArtifact ? { artifactType: ARTIFACT_TYPE } : {}),
    config: ociArtifact ? { ...configDescriptor, data: config.toString('base64') } : configDescriptor,
    layers: blobs.map((blob) => ({
      mediaType: MediaType.inToto,
      digest: blob.digest,
      size: blob.bytes.length,
      annotations: { 'in-toto.io/predicate-type': blob.predicateType },
    })),
    ...(ociArtifact ? { subject: { mediaType: MediaType.ociManifest, digest, size: sizeBytes } } : {}),
  };
}

function imageLikeConfig(diffIds: readonly Digest[]): Buffer {
  return Buffer.from(goJson({ ...UNKNOWN, config: {}, rootfs: { type: 'layers', diff_ids: diffIds } }));
}
