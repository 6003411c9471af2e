/**
 * Images as zb makes them: one layer of a given size, a config, a manifest, in a repository of their own. `same` gives
 * every image the same layer, which rewards a registry that knows it already; `unique` gives each its own last bytes.
 */
import { createHash, type Hash, randomBytes, randomUUID } from 'node:crypto';
import type { LoadClient } from './client.js';

export type Ingest = 'same' | 'unique';
export type PushStyle = 'monolith' | 'chunked';

export interface LoadImage {
  readonly repository: string;
  readonly layer: readonly Buffer[];
  readonly layerDigest: string;
  readonly config: Buffer;
  readonly configDigest: string;
  readonly manifest: Buffer;
  readonly bytes: number;
}

const OCI = 'application/vnd.oci.image';
export const MANIFEST_TYPE = `${OCI}.manifest.v1+json`;
const TAIL_BYTES = 32;

/** Makes images without hashing the whole layer each time: only the tail differs. */
export class ImageMaker {
  private readonly bodies = new Map<number, { readonly body: Buffer; readonly hash: Hash }>();

  image(sizeBytes: number, ingest: Ingest): LoadImage {
    const { body, hash } = this.body(sizeBytes - TAIL_BYTES);
    const tail = ingest === 'same' ? Buffer.alloc(TAIL_BYTES) : randomBytes(TAIL_BYTES);
    const layerDigest = `sha256:${hash.copy().update(tail).digest('hex')}`;
    const mark = ingest === 'same' ? 'same' : randomUUID();
    const config = Buffer.from(
      JSON.stringify({
        architecture: 'amd64',
        os: 'linux',
        config: { Labels: { mark } },
        rootfs: { type: 'layers', diff_ids: [layerDigest] },
      }),
    );
    const configDigest = digestOf(config);
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MANIFEST_TYPE,
        config: { mediaType: `${OCI}.config.v1+json`, digest: configDigest, size: config.length },
        layers: [{ mediaType: `${OCI}.layer.v1.tar`, digest: layerDigest, size: sizeBytes }],
      }),
    );
    const bytes = sizeBytes + config.length + manifest.length;
    return {
      repository: `bench/${randomUUID()}`,
      layer: [body, tail],
      layerDigest,
      config,
      configDigest,
      manifest,
      bytes,
    };
  }

  private body(sizeBytes: number): { readonly body: Buffer; readonly hash: Hash } {
    let made = this.bodies.get(sizeBytes);
    if (made === undefined) {
      const body = randomBytes(sizeBytes);
      made = { body, hash: createHash('sha256').update(body) };
      this.bodies.set(sizeBytes, made);
    }
    return made;
  }
}

/** POST and PUT (or POST, PATCH, PUT) of layer and config, PUT of the manifest. */
export async function push(client: LoadClient, image: LoadImage, style: PushStyle): Promise<number> {
  await pushBlob(client, image.repository, image.layer, image.layerDigest, style);
  await pushBlob(client, image.repository, [image.config], image.configDigest, 'monolith');
  await client.send(201, 'PUT', `/v2/${image.repository}/manifests/1`, {
    body: [image.manifest],
    contentType: MANIFEST_TYPE,
  });
  return image.bytes;
}

/** Manifest by tag, config, layer. */
export async function pull(client: LoadClient, image: LoadImage): Promise<number> {
  const path = `/v2/${image.repository}`;
  const manifest = await client.send(200, 'GET', `${path}/manifests/1`, { accept: MANIFEST_TYPE });
  const config = await client.send(200, 'GET', `${path}/blobs/${image.configDigest}`);
  const layerBytes = await client.download(`${path}/blobs/${image.layerDigest}`);
  const bytes = manifest.bytes + config.bytes + layerBytes;
  if (bytes !== image.bytes) throw new Error(`pulled ${bytes} bytes of ${image.bytes}`);
  return bytes;
}

/** POST and PATCH of the layer. Gives what is left to do: the PUT that ends the upload. */
export async function pushAllButTheEnd(client: LoadClient, image: LoadImage): Promise<() => Promise<void>> {
  const { repository, layer, layerDigest } = image;
  const location = await uploaded(client, await begun(client, repository), layer);
  return () => ended(client, location, layerDigest, []);
}

async function pushBlob(
  client: LoadClient,
  repository: string,
  body: readonly Buffer[],
  digest: string,
  style: PushStyle,
): Promise<void> {
  const location = await begun(client, repository);
  if (style === 'monolith') await ended(client, location, digest, body);
  else await ended(client, await uploaded(client, location, body), digest, []);
}

const contentType = 'application/octet-stream';

async function begun(client: LoadClient, repository: string): Promise<string> {
  return (await client.send(202, 'POST', `/v2/${repository}/blobs/uploads/`)).location ?? '';
}

async function uploaded(client: LoadClient, location: string, body: readonly Buffer[]): Promise<string> {
  return (await client.send(202, 'PATCH', location, { body, chunked: true, contentType })).location ?? '';
}

async function ended(client: LoadClient, location: string, digest: string, body: readonly Buffer[]): Promise<void> {
  const separator = location.includes('?') ? '&' : '?';
  const path = `${location}${separator}digest=${encodeURIComponent(digest)}`;
  await client.send(201, 'PUT', path, { body, contentType });
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
