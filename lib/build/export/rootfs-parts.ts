/** What the root folder of an image is made of: for each platform that it has, the merged files and what is attested. */
import { AppError } from '../../errors/index.js';
import { ImageTree, type LayerIndexes } from '../../layers/index.js';
import {
  type Digest,
  formatPlatform,
  type Manifest,
  parseImageConfig,
  parseManifestDocument,
} from '../../oci/index.js';
import type { ContentStore } from '../../store/index.js';
import { type ArchiveSource, imageOf, incompleteImage, isRunnable } from './archive-source.js';
import { checkApart, type NamedStatement, type RootfsPart, type Statement } from './rootfs-archive.js';

/** An SBOM may be long. */
const MAX_STATEMENT_BYTES = 64 * 1024 * 1024;
const UNKNOWN = { os: 'unknown', architecture: 'unknown' };

export interface RootfsDeps {
  readonly content: Pick<ContentStore, 'open' | 'read'>;
  readonly indexes: Pick<LayerIndexes, 'get'>;
}

export interface RootfsOptions {
  /** Which image of an index, for formats that hold one. */
  readonly platform?: string;
  /** Of a build: a folder for each platform; when absent only where there are several. */
  readonly platformSplit?: boolean;
  /** Of a build: what the names of attestations begin with. */
  readonly attestationPrefix?: string;
}

/** @throws AppError IMAGE_PLATFORMS_COLLIDE, IMAGE_NOT_RUNNABLE, and what imageOf throws */
export async function rootfsParts(
  deps: RootfsDeps,
  source: ArchiveSource,
  { platform, platformSplit, attestationPrefix = '' }: RootfsOptions,
): Promise<readonly RootfsPart[]> {
  const { root, ofBuild } = source;
  const document = parseManifestDocument(root.bytes, root.mediaType);
  const images = document.kind === 'index' ? document.index.manifests.filter(isRunnable) : [];
  const all = ofBuild !== undefined && platform === undefined && images.length > 0;
  const isSplit = all && (platformSplit ?? images.length > 1);
  const wanted = all ? images.map((entry) => formatPlatform(entry.platform ?? UNKNOWN)) : [platform];
  const parts: RootfsPart[] = [];
  for (const each of wanted) {
    const { stored, manifest } = await imageOf(source, each);
    const told = ofBuild === undefined ? [] : await statementsOf(deps, source, stored.digest, ofBuild.files);
    const name = (each ?? '').replaceAll('/', '_');
    const suffix = images.length > 1 && all && !isSplit ? name : undefined;
    const statements = told.map(({ file, statement }) => ({
      statement,
      file: attestationPrefix + (suffix === undefined ? file : withSuffix(file, suffix)),
    }));
    const folder = isSplit ? { folder: name } : {};
    parts.push({ tree: await mergedTree(deps, source, manifest), image: stored.digest, statements, ...folder });
  }
  if (parts.length > 1 && !isSplit) checkApart(parts);
  return parts;
}

/** What is attested of an image, in its order. */
async function statementsOf(
  { content }: RootfsDeps,
  { root, name, manifest }: ArchiveSource,
  image: Digest,
  files: ReadonlyMap<Digest, readonly string[]>,
): Promise<readonly NamedStatement[]> {
  const document = parseManifestDocument(root.bytes, root.mediaType);
  const entries = document.kind === 'index' ? document.index.manifests : [];
  const entry = entries.find(({ annotations = {} }) => annotations['vnd.docker.reference.digest'] === image);
  const stored = entry === undefined ? undefined : await manifest(entry.digest);
  if (stored === undefined) return [];
  const attested = parseManifestDocument(stored.bytes, stored.mediaType);
  const statements: NamedStatement[] = [];
  const layers = attested.kind === 'manifest' ? attested.manifest.layers : [];
  for (const [i, { digest }] of layers.entries()) {
    const bytes = await content.read(digest, MAX_STATEMENT_BYTES);
    if (bytes === undefined) throw incompleteImage(digest, name);
    const statement = JSON.parse(bytes.toString('utf8')) as Statement;
    statements.push({ statement, file: files.get(image)?.[i] ?? numbered(statement, i) });
  }
  return statements;
}

async function mergedTree(
  { content, indexes }: RootfsDeps,
  { name }: ArchiveSource,
  manifest: Manifest,
): Promise<ImageTree> {
  const bytes = await content.read(manifest.config.digest);
  if (bytes === undefined) throw incompleteImage(manifest.config.digest, name);
  const { diff_ids: diffIds } = parseImageConfig(bytes).rootfs;
  let tree = ImageTree.empty(content);
  for (const [i, descriptor] of manifest.layers.entries()) {
    const diffId = diffIds[i];
    if (diffId === undefined) {
      throw new AppError('IMAGE_NOT_RUNNABLE', 'the image has more layers than its config knows', { kind: 'failed' });
    }
    tree = tree.withLayer(await indexes.get({ descriptor, diffId }));
  }
  return tree;
}

/** As BuildKit: `provenance.linux_arm64.json`. */
function withSuffix(file: string, suffix: string): string {
  const dot = file.lastIndexOf('.');
  return dot < 0 ? `${file}.${suffix}` : `${file.slice(0, dot)}.${suffix}${file.slice(dot)}`;
}

/** Of a build that an earlier version made. */
function numbered({ predicateType }: Statement, i: number): string {
  if (predicateType.startsWith('https://slsa.dev/provenance/')) return 'provenance.json';
  return i === 0 ? 'sbom.spdx.json' : `sbom-${i + 1}.spdx.json`;
}
