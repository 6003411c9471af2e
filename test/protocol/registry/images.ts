/** Sets of blobs and manifests, one for each kind of content a registry must carry, made from a seed. */
import { createHash } from 'node:crypto';
import { type Digest, type DigestAlgorithm, digestOf, MediaType } from '../../../lib/oci/index.js';

export interface TestBlob {
  readonly digest: Digest;
  readonly bytes: Buffer;
}

export interface TestManifest extends TestBlob {
  readonly mediaType: string;
  readonly subject?: Digest;
  /** As a referrers listing must show it. */
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** In the order in which a client pushes. */
export interface ImageSet {
  readonly blobs: readonly TestBlob[];
  readonly manifests: readonly TestManifest[];
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
}

/** Bytes that only this seed gives. */
export function bytesOf(seed: string, size: number): Buffer {
  const parts: Buffer[] = [];
  for (let i = 0; parts.length * 32 < size; i++) parts.push(createHash('sha256').update(`${seed}/${i}`).digest());
  return Buffer.concat(parts).subarray(0, size);
}

export class SetBuilder {
  readonly blobs: TestBlob[] = [];
  readonly manifests: TestManifest[] = [];

  constructor(
    private readonly seed: string,
    private readonly algorithm: DigestAlgorithm = 'sha256',
  ) {}

  blob(content: Buffer | object, mediaType: string = MediaType.ociLayerGzip): Descriptor {
    const bytes = Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content));
    const digest = digestOf(bytes, this.algorithm);
    this.blobs.push({ digest, bytes });
    return { mediaType, digest, size: bytes.length };
  }

  layer(size = 1000, mediaType?: string): Descriptor {
    return this.blob(bytesOf(`${this.seed}/layer ${this.blobs.length}`, size), mediaType);
  }

  config(): Descriptor {
    return this.blob(
      { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] }, seed: this.seed },
      MediaType.ociConfig,
    );
  }

  image(extra: object = {}, layers: readonly Descriptor[] = [this.layer(), this.layer(70_000)]): Descriptor {
    return this.manifest(MediaType.ociManifest, { config: this.config(), layers, ...extra });
  }

  index(manifests: readonly Descriptor[], extra: object = {}): Descriptor {
    return this.manifest(MediaType.ociIndex, { manifests, ...extra });
  }

  artifact(extra: object = {}, layers: readonly Descriptor[] = [this.layer()]): Descriptor {
    const config = this.blob(Buffer.from('{}'), MediaType.ociEmpty);
    return this.manifest(MediaType.ociManifest, {
      artifactType: 'application/vnd.example.thing',
      config,
      layers,
      ...extra,
    });
  }

  manifest(mediaType: string, body: object): Descriptor {
    const fields = body as {
      readonly subject?: Descriptor;
      readonly artifactType?: string;
      readonly config?: Descriptor;
      readonly annotations?: Readonly<Record<string, string>>;
    };
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...body }, undefined, 2));
    const digest = digestOf(bytes, this.algorithm);
    const artifactType = fields.artifactType ?? fields.config?.mediaType;
    this.manifests.push({
      digest,
      bytes,
      mediaType,
      ...(fields.subject === undefined ? {} : { subject: fields.subject.digest }),
      ...(artifactType === undefined ? {} : { artifactType }),
      ...(fields.annotations === undefined ? {} : { annotations: fields.annotations }),
    });
    return { mediaType, digest, size: bytes.length };
  }
}

const LAYER_AT = 'https://example.com/layer.tar.gz';

/** The kinds of the conformance matrix; each name is also the seed, so that no two share a blob by accident. */
export const IMAGE_SETS: Readonly<Record<string, (set: SetBuilder) => unknown>> = {
  'an image': (set) => set.image(),
  'an uncompressed image': (set) => set.image({}, [set.layer(5000, MediaType.ociLayer)]),
  'a docker image': (set) =>
    set.manifest(MediaType.dockerManifest, {
      config: set.blob({ seed: 'docker' }, MediaType.dockerConfig),
      layers: [set.layer(3000, MediaType.dockerLayerGzip)],
    }),
  'a manifest of 3.9 MB': (set) => {
    const annotations = Array.from({ length: 390 }, (_, i) => [`org.example.${i}`, 'x'.repeat(10_000)]);
    return set.image({ annotations: Object.fromEntries(annotations) as object });
  },
  'an index': (set) => set.index([set.image(), set.image({ annotations: { arch: 'other' } })]),
  'a docker manifest list': (set) => {
    const image = set.manifest(MediaType.dockerManifest, {
      config: set.blob({ seed: 'docker list' }, MediaType.dockerConfig),
      layers: [],
    });
    return set.manifest(MediaType.dockerManifestList, { manifests: [image] });
  },
  'a nested index': (set) => set.index([set.index([set.image()])]),
  'an empty index': (set) => set.index([]),
  'an index that lists layers, as build caches do': (set) => set.index([set.layer(2000), set.image()]),
  'an artifact': (set) => set.artifact(),
  'an artifact index': (set) => set.index([set.artifact()], { artifactType: 'application/vnd.example.index' }),
  'an artifact without layers': (set) => set.artifact({}, [set.blob(Buffer.from('{}'), MediaType.ociEmpty)]),
  'an image without layers': (set) => set.image({}, []),
  'an image with an empty blob': (set) => set.image({}, [set.blob(Buffer.alloc(0), MediaType.ociLayer)]),
  'a subject with referrers': (set) => {
    const subject = set.image();
    set.artifact({ subject, annotations: { 'org.example.kind': 'sbom' } });
    set.artifact({ subject, artifactType: 'application/vnd.example.signature' });
    set.image({ subject, annotations: { 'org.example.kind': 'by config type' } });
    set.index([], { subject, artifactType: 'application/vnd.example.index', annotations: { of: 'an index' } });
    set.index([], { subject, annotations: { without: 'a type' } });
  },
  'an index as subject': (set) => set.artifact({ subject: set.index([set.image()]) }),
  'a subject that is not there': (set) => {
    const subject = { mediaType: MediaType.ociManifest, digest: digestOf('nowhere'), size: 7 };
    return set.artifact({ subject });
  },
  'a referrer with 3 MB of annotations': (set) => {
    const annotations = Array.from({ length: 300 }, (_, i) => [`org.example.${i}`, 'y'.repeat(10_000)]);
    return set.artifact({ subject: set.image(), annotations: Object.fromEntries(annotations) as object });
  },
  'descriptors with data': (set) => {
    const layer = set.layer(40);
    const data = set.blobs.at(-1)?.bytes.toString('base64');
    return set.image({}, [{ ...layer, data } as Descriptor]);
  },
  'non-distributable layers that are not pushed': (set) => {
    const mediaType = 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip';
    return set.image({}, [{ mediaType, digest: digestOf('elsewhere'), size: 99, urls: [LAYER_AT] } as Descriptor]);
  },
  'unknown fields and media types': (set) =>
    set.image({ 'org.example.unknown': { nested: [1, null, 'ü'] } }, [set.layer(10, 'application/x-unheard-of')]),
};

export function imageSet(name: string, algorithm?: DigestAlgorithm): ImageSet {
  const set = new SetBuilder(`${name} ${algorithm ?? ''}`, algorithm);
  const make = IMAGE_SETS[name];
  if (make === undefined) throw new Error(`no set ${name}`);
  make(set);
  return set;
}
