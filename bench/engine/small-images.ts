/** Images of busybox and one small layer that differs, pushed as any client pushes. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type ImageConfig, platformOfArch } from '../../lib/oci/index.js';
import { timed } from '../process.js';
import { LoadClient } from '../registry/client.js';
import { MANIFEST_TYPE } from '../registry/images.js';
import type { Session } from '../session.js';
import type { WharfAddress } from '../peers/wharf.js';

interface Layer {
  readonly bytes: Buffer;
  readonly digest: string;
  readonly diffId: string;
}

const CHANGE_BYTES = 64 * 1024;
const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

export class SmallImages {
  private readonly client: LoadClient;

  private constructor(
    private readonly folder: string,
    private readonly base: Layer,
    { url, token }: WharfAddress,
  ) {
    this.client = new LoadClient(url, `Basic ${Buffer.from(`bench:${token}`).toString('base64')}`, 4);
  }

  static async create(session: Session, address: WharfAddress): Promise<SmallImages> {
    const folder = await session.directory('image');
    await mkdir(join(folder, 'base/bin'), { recursive: true });
    await timed(['sh', '-c', `cp "$(command -v busybox)" ${folder}/base/bin/busybox`]);
    await timed(['sh', '-c', `cd ${folder}/base/bin && ln -s busybox sh && ln -s busybox sleep`]);
    return new SmallImages(folder, await layerOf(folder, 'base'), address);
  }

  /** The next image of the repository: its second layer is new, so is all that follows from it. */
  async make(): Promise<() => Promise<void>> {
    await mkdir(join(this.folder, 'change/app'), { recursive: true });
    await writeFile(join(this.folder, 'change/app/data'), randomBytes(CHANGE_BYTES));
    const change = await layerOf(this.folder, 'change');
    return () => this.push([this.base, change]);
  }

  close(): void {
    this.client.close();
  }

  /** Layers that the registry has are not sent again. */
  private async push(layers: readonly Layer[]): Promise<void> {
    const config = Buffer.from(JSON.stringify(configOf(layers)));
    const blobs = [
      ...layers.map(({ bytes, digest }) => ({ bytes, digest })),
      { bytes: config, digest: digestOf(config) },
    ];
    for (const { bytes, digest } of blobs) {
      const isThere = await this.client.send(200, 'HEAD', `/v2/app/blobs/${digest}`).then(
        () => true,
        () => false,
      );
      if (isThere) continue;
      const { location = '' } = await this.client.send(202, 'POST', '/v2/app/blobs/uploads/');
      const target = `${location}${location.includes('?') ? '&' : '?'}digest=${encodeURIComponent(digest)}`;
      await this.client.send(201, 'PUT', target, { body: [bytes], contentType: 'application/octet-stream' });
    }
    const manifest = {
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf(config), size: config.length },
      layers: layers.map(({ bytes, digest }) => ({
        mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
        digest,
        size: bytes.length,
      })),
    };
    const body = [Buffer.from(JSON.stringify(manifest))];
    await this.client.send(201, 'PUT', '/v2/app/manifests/1', { body, contentType: MANIFEST_TYPE });
  }
}

async function layerOf(folder: string, name: string): Promise<Layer> {
  const file = join(folder, `${name}.tar`);
  await timed(['tar', '-C', join(folder, name), '-cf', file, '.']);
  const tar = await readFile(file);
  const bytes = gzipSync(tar);
  return { bytes, digest: digestOf(bytes), diffId: digestOf(tar) };
}

function configOf(layers: readonly Layer[]): object {
  const config: NonNullable<ImageConfig['config']> = {
    Env: ['PATH=/bin'],
    Cmd: ['/bin/sh', '-c', "trap 'exit 0' TERM; while :; do sleep 1000 & wait; done"],
  };
  return {
    ...platformOfArch(process.arch),
    config,
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
  };
}
