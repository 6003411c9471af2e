/** A real image for real clients: an OCI layout on disk with one layer that can be unpacked. */
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Digest, digestHex, digestOf, MediaType } from '../../../lib/oci/index.js';

interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
}

export interface TestLayout {
  /** What skopeo takes after `oci:`. */
  readonly image: string;
  readonly index: string;
  readonly manifest: Digest;
  readonly config: Digest;
}

/**
 * Holds `:latest`, an image, and `:both`, an index over two platforms of it.
 * @param weight a second file of the layer
 */
export async function writeLayout(folder: string, weight: Uint8Array = new Uint8Array()): Promise<TestLayout> {
  const files = join(folder, 'files');
  const layout = join(folder, 'layout');
  await mkdir(files, { recursive: true });
  await mkdir(join(layout, 'blobs', 'sha256'), { recursive: true });
  await writeFile(join(files, 'hello.txt'), 'hello from a layer\n');
  await writeFile(join(files, 'weight'), weight);
  const tar = execFileSync('tar', ['-C', files, '-c', 'hello.txt', 'weight'], { maxBuffer: 2 ** 30 });
  const put = async (bytes: Buffer, mediaType: string): Promise<Descriptor> => {
    const digest = digestOf(bytes);
    await writeFile(join(layout, 'blobs', 'sha256', digestHex(digest)), bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const json = (value: object): Buffer => Buffer.from(JSON.stringify(value));
  const layer = await put(gzipSync(tar), MediaType.ociLayerGzip);
  const image = async (architecture: string): Promise<Descriptor> => {
    const rootfs = { type: 'layers', diff_ids: [digestOf(tar)] };
    const config = await put(json({ architecture, os: 'linux', config: { Cmd: ['/x'] }, rootfs }), MediaType.ociConfig);
    const mediaType = MediaType.ociManifest;
    return put(json({ schemaVersion: 2, mediaType, config, layers: [layer] }), mediaType);
  };
  const amd64 = await image('amd64');
  const arm64 = await image('arm64');
  const manifests = [
    { ...amd64, platform: { os: 'linux', architecture: 'amd64' } },
    { ...arm64, platform: { os: 'linux', architecture: 'arm64' } },
  ];
  const both = await put(json({ schemaVersion: 2, mediaType: MediaType.ociIndex, manifests }), MediaType.ociIndex);
  const named = (descriptor: Descriptor, name: string): object => ({
    ...descriptor,
    annotations: { 'org.opencontainers.image.ref.name': name },
  });
  await writeFile(join(layout, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }));
  await writeFile(
    join(layout, 'index.json'),
    json({ schemaVersion: 2, manifests: [named(amd64, 'latest'), named(both, 'both')] }),
  );
  const bytes = await readFile(join(layout, 'blobs', 'sha256', digestHex(amd64.digest)), 'utf8');
  const { config } = JSON.parse(bytes) as { config: Descriptor };
  return { image: `oci:${layout}:latest`, index: `oci:${layout}:both`, manifest: amd64.digest, config: config.digest };
}
