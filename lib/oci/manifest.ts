/**
 * Manifest and Index: the two documents a registry stores (OCI image-spec manifest.md, image-index.md; docker schema 2).
 * Parsing checks structure only; the exact bytes are what is stored and hashed.
 */
import { asObject, type Descriptor, invalid, parseAnnotations, parseDescriptor } from './descriptor.js';
import { isIndexType, isManifestType } from './media-type.js';
import { formatPlatform } from './platform.js';

export interface Manifest {
  readonly schemaVersion: 2;
  readonly mediaType: string;
  readonly artifactType?: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface Index {
  readonly schemaVersion: 2;
  readonly mediaType: string;
  readonly artifactType?: string;
  readonly manifests: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

export type ManifestDocument =
  { readonly kind: 'manifest'; readonly manifest: Manifest } | { readonly kind: 'index'; readonly index: Index };

/**
 * Parses a manifest or index as pushed.
 * @param mediaType the Content-Type it came with; when empty, the document's own is used
 * @throws AppError MANIFEST_INVALID with the JSON pointer of what is wrong
 */
export function parseManifestDocument(bytes: Uint8Array, mediaType: string): ManifestDocument {
  const document = parseJson(bytes);
  const own = document['mediaType'];
  if (own !== undefined && typeof own !== 'string') throw invalid('/mediaType', 'is not a string');
  if (own !== undefined && mediaType !== '' && own !== mediaType) {
    throw invalid('/mediaType', `is ${own}, but the Content-Type says ${mediaType}`);
  }
  const type = mediaType === '' ? (own ?? '') : mediaType;
  if (document['schemaVersion'] !== 2) throw invalid('/schemaVersion', 'is not 2');
  if ('layers' in document && 'manifests' in document) throw invalid('', 'has both "layers" and "manifests"');
  if (isManifestType(type)) return { kind: 'manifest', manifest: parseManifest(document, type) };
  if (isIndexType(type)) return { kind: 'index', index: parseIndex(document, type) };
  throw invalid('/mediaType', `${JSON.stringify(type)} is neither an image manifest nor an index`);
}

function parseManifest(document: Record<string, unknown>, mediaType: string): Manifest {
  if ('manifests' in document) throw invalid('/manifests', 'belongs in an index');
  const layers = document['layers'];
  if (!Array.isArray(layers)) throw invalid('/layers', 'is not a list');
  return {
    ...document,
    schemaVersion: 2,
    mediaType,
    config: parseDescriptor(document['config'], '/config'),
    layers: layers.map((layer, i) => parseDescriptor(layer, `/layers/${i}`)),
    ...common(document),
  };
}

function parseIndex(document: Record<string, unknown>, mediaType: string): Index {
  if ('layers' in document || 'config' in document) throw invalid('', 'is an index with "config" or "layers"');
  const manifests = document['manifests'];
  if (!Array.isArray(manifests)) throw invalid('/manifests', 'is not a list');
  return {
    ...document,
    schemaVersion: 2,
    mediaType,
    manifests: manifests.map((entry, i) => parseDescriptor(entry, `/manifests/${i}`)),
    ...common(document),
  };
}

function common(document: Record<string, unknown>): Pick<Manifest, 'subject' | 'annotations'> {
  return {
    ...(document['subject'] === undefined ? {} : { subject: parseDescriptor(document['subject'], '/subject') }),
    ...(document['annotations'] === undefined
      ? {}
      : { annotations: parseAnnotations(document['annotations'], '/annotations') }),
  };
}

function parseJson(bytes: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw invalid('', `is not JSON: ${error instanceof Error ? error.message : 'unreadable'}`);
  }
  return asObject(value, '');
}

/** The platforms an index has images for, as text: what is attested of an image has none. */
export function offeredPlatforms({ manifests }: Index): readonly string[] {
  return manifests.flatMap(({ platform }) =>
    platform === undefined || platform.os === 'unknown' ? [] : [formatPlatform(platform)],
  );
}
