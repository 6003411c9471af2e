/** Images in a content store, without a registry around them: what the control plane needs of `Images`. */
import type { Images, StoredManifest } from '../../lib/registry/index.js';
import { type Digest, digestOf, MediaType, parseManifestDocument } from '../../lib/oci/index.js';
import type { ContentStore } from '../../lib/store/index.js';

export interface TestImages extends Images {
  /** Stores an image of one empty layer. `name` is `repository:tag`. */
  add(name: string, change?: { architecture?: string; exposes?: readonly string[]; label?: string }): Promise<Digest>;
}

export function createTestImages(content: ContentStore): TestImages {
  const manifests = new Map<string, StoredManifest>();
  const tags = new Map<string, Map<string, Digest>>();
  const images: TestImages = {
    async manifest(repository, reference) {
      const digest = 'digest' in reference ? reference.digest : tags.get(repository)?.get(reference.tag);
      return digest === undefined ? undefined : manifests.get(`${repository}@${digest}`);
    },
    async putManifest(repository, bytes, mediaType, names) {
      parseManifestDocument(bytes, mediaType);
      const digest = digestOf(bytes);
      manifests.set(`${repository}@${digest}`, { digest, mediaType, bytes: Buffer.from(bytes) });
      const known = tags.get(repository) ?? new Map<string, Digest>();
      for (const name of names) known.set(name, digest);
      tags.set(repository, known);
      return { mediaType, digest, size: bytes.length };
    },
    linkBlob: () => Promise.resolve(),
    repositories: ({ after = '', limit = 100 } = {}) =>
      Promise.resolve(
        [...tags.keys()]
          .filter((name) => name > after)
          .sort()
          .slice(0, limit),
      ),
    tags: (repository) =>
      Promise.resolve(
        [...(tags.get(repository) ?? [])].map(([tag, digest]) => ({ tag, digest, updatedMs: 0 })) || undefined,
      ),
    async add(name, { architecture = 'amd64', exposes = ['8080/tcp'], label = '' } = {}) {
      const config = {
        architecture,
        os: 'linux',
        config: { ExposedPorts: Object.fromEntries(exposes.map((port) => [port, {}])), Labels: { label } },
        rootfs: { type: 'layers', diff_ids: [] },
      };
      const bytes = Buffer.from(JSON.stringify(config));
      const { digest } = await content.putBytes(bytes);
      const manifest = {
        schemaVersion: 2,
        mediaType: MediaType.ociManifest,
        config: { mediaType: MediaType.ociConfig, digest, size: bytes.length },
        layers: [],
      };
      const [repository = '', tag = 'latest'] = name.split(':');
      const put = await images.putManifest(repository, Buffer.from(JSON.stringify(manifest)), MediaType.ociManifest, [
        tag,
      ]);
      return put.digest;
    },
  };
  return images;
}
