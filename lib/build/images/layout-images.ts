/**
 * Images of an OCI layout that was sent as a context: looked up like those of a registry, and their layers come into
 * the store when somebody reads them, each checked against its digest.
 */
import { AppError } from '../../errors/index.js';
import { type Descriptor, type Digest, digestOf, parseManifestDocument, type Platform } from '../../oci/index.js';
import type { StoredManifest } from '../../registry/index.js';
import type { ContentStore } from '../../store/index.js';
import type { BuildContext } from '../context/context.js';
import { imageIn, type ImageSource } from './image-source.js';
import type { BaseImage, Layer } from '../plan/steps.js';
import type { LayoutContext } from '../types.js';

const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';
const REF_NAME = 'org.opencontainers.image.ref.name';

export interface FoundInLayout {
  readonly source: ImageSource;
  readonly stored: StoredManifest;
}

export class LayoutImages {
  private readonly contexts = new Map<Digest, Promise<BuildContext>>();

  constructor(
    private readonly content: Pick<ContentStore, 'put' | 'stat'>,
    private readonly openContext: (context: Digest) => Promise<BuildContext>,
  ) {}

  /** @throws AppError BUILD_LAYOUT_INVALID, BUILD_BASE_UNKNOWN, BUILD_BASE_PLATFORM, BUILD_BASE_BROKEN */
  async find(wanted: LayoutContext, platform: Platform): Promise<BaseImage> {
    const { source, stored } = await this.look(wanted);
    const name = `oci-layout ${wanted.reference ?? stored.digest}`;
    return { ...(await imageIn(source, name, stored, platform)), name: `oci-layout@${stored.digest}` };
  }

  /** What the layout has under a tag or digest, and where to read on. @throws AppError BUILD_LAYOUT_INVALID, BUILD_BASE_UNKNOWN */
  async look({ layout, reference }: LayoutContext): Promise<FoundInLayout> {
    const context = await this.open(layout);
    const root = await rootOf(context, reference);
    const source: ImageSource = {
      where: 'the OCI layout',
      origin: { layout },
      manifest: (by) => ('digest' in by ? manifestIn(context, by.digest) : Promise.resolve(undefined)),
      config: async ({ digest }) => checked(digest, await context.text(blobPath(digest))),
      has: ({ digest }) => Promise.resolve(context.tree.exact(blobPath(digest))?.type === 'file'),
    };
    const stored = await source.manifest({ digest: root.digest });
    if (stored === undefined) throw invalid(`its index.json names ${root.digest}, which is not there`);
    return { source, stored };
  }

  /** Makes sure that the layers that come from layouts are in the content store. @throws AppError BUILD_LAYER_UNAVAILABLE */
  async fetchLayers(layers: readonly Layer[], signal: AbortSignal): Promise<void> {
    for (const { descriptor, origin } of layers) {
      if (origin === undefined || !('layout' in origin)) continue;
      const { digest } = descriptor;
      if ((await this.content.stat(digest)) !== undefined) continue;
      const { tree } = await this.open(origin.layout);
      const blob = tree.exact(blobPath(digest));
      if (blob?.type !== 'file') {
        throw new AppError('BUILD_LAYER_UNAVAILABLE', `layer ${digest} is not in the OCI layout`, {
          kind: 'failed',
          hint: 'copy the whole image into it: skopeo copy docker://… oci:…',
        });
      }
      await this.content.put(tree.readFile(blob.path), { expected: digest, signal });
    }
  }

  private open(context: Digest): Promise<BuildContext> {
    const known = this.contexts.get(context) ?? this.openContext(context);
    this.contexts.set(context, known);
    return known;
  }
}

/** What a tag or a digest names in index.json; without either the only image, or the one that is `latest`. */
async function rootOf(context: BuildContext, reference: string | undefined): Promise<Descriptor> {
  const text = await context.text('index.json');
  if (text === undefined) throw invalid('it has no index.json');
  const document = parseManifestDocument(Buffer.from(text), INDEX_TYPE);
  const manifests = document.kind === 'index' ? document.index.manifests : [];
  const [only, ...others] = manifests;
  if (reference === undefined && only !== undefined && others.length === 0) return only;
  const wanted = reference ?? 'latest';
  const found = manifests.find(({ digest, annotations }) => digest === wanted || annotations?.[REF_NAME] === wanted);
  if (found !== undefined) return found;
  const offered = manifests.map(({ digest, annotations }) => annotations?.[REF_NAME] ?? digest);
  throw new AppError('BUILD_BASE_UNKNOWN', `the OCI layout has no image ${wanted}`, {
    kind: 'not-found',
    hint: `it has ${offered.join(', ') || 'none'}; name one: oci-layout://<folder>:<tag>, or @<digest>`,
  });
}

async function manifestIn(context: BuildContext, digest: Digest): Promise<StoredManifest | undefined> {
  const bytes = checked(digest, await context.text(blobPath(digest)));
  if (bytes === undefined) return undefined;
  const { mediaType } = JSON.parse(bytes.toString()) as { readonly mediaType?: unknown };
  const isIndex = mediaType === undefined && bytes.includes('"manifests"');
  const fallback = isIndex ? INDEX_TYPE : 'application/vnd.oci.image.manifest.v1+json';
  return { digest, mediaType: typeof mediaType === 'string' ? mediaType : fallback, bytes };
}

function checked(digest: Digest, text: string | undefined): Buffer | undefined {
  if (text === undefined) return undefined;
  const bytes = Buffer.from(text);
  if (digestOf(bytes) !== digest) throw invalid(`${blobPath(digest)} has another content than its name says`);
  return bytes;
}

function blobPath(digest: Digest): string {
  return `blobs/${digest.replace(':', '/')}`;
}

function invalid(why: string): AppError {
  return new AppError('BUILD_LAYOUT_INVALID', `the context is no OCI layout: ${why}`, {
    hint: 'a folder with oci-layout, index.json and blobs/, as skopeo copy docker://… oci:… makes it',
  });
}
