/** Our side: the embedded platform as a user starts it, on a free port and a temporary folder, asked by our client. */
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { packContext } from '../../lib/cli/pack-context.js';
import { WharfClient } from '../../lib/client/index.js';
import { type EmbeddedPlatform, startEmbedded } from '../../lib/host/embedded/platform.js';
import { type Digest, digestOf, type ImageConfig, MediaType, type Manifest } from '../../lib/oci/index.js';
import { RegistryClient } from '../../lib/registry/client/index.js';
import { systemClock } from '../../lib/store/system/clock-system.js';
import type { BaseImageFile } from './base-images.js';
import { type BuildInput, type BuiltImage, imageOf } from './image-files.js';

export class BuildFailed extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export class WharfPlatform {
  private constructor(
    private readonly folder: string,
    private readonly platform: EmbeddedPlatform,
    private readonly client: WharfClient,
    private readonly registry: RegistryClient,
  ) {}

  static async start(): Promise<WharfPlatform> {
    const folder = await mkdtemp(join(tmpdir(), 'wharf-differential-'));
    const platform = await startEmbedded({ data: folder, listen: { host: '127.0.0.1', port: 0 } });
    const { url, token } = platform;
    const registry = new RegistryClient(
      { clock: systemClock },
      { registry: platform.registry, insecure: true, credentials: { username: 'wharf', password: token } },
    );
    return new WharfPlatform(folder, platform, new WharfClient({ url, token }), registry);
  }

  async load(image: BaseImageFile): Promise<void> {
    const { repository, tag, layer, diffId, config } = image;
    const { size } = await stat(layer);
    const digest = diffId as Digest;
    await this.registry.uploadBlob(repository, { digest, sizeBytes: size, open: () => createReadStream(layer) });
    const configBlob = { digest: digestOf(config), sizeBytes: config.length, open: () => once(config) };
    await this.registry.uploadBlob(repository, configBlob);
    const manifest: Manifest = {
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: { mediaType: MediaType.ociConfig, digest: configBlob.digest, size: config.length },
      layers: [{ mediaType: MediaType.ociLayer, digest, size }],
    };
    await this.registry.putManifest(repository, tag, Buffer.from(JSON.stringify(manifest)), MediaType.ociManifest);
  }

  /** @throws BuildFailed with what the build said */
  async build(input: BuildInput, folder: string): Promise<BuiltImage> {
    const { name, args, labels, target } = input;
    const repository = `case-${name}`.toLowerCase();
    const packed = await packContext(input.context, '.', input.dockerfile);
    const { id } = await this.client.builds.fromTar(packed.tar, {
      tags: [`${repository}:1`],
      dockerfile: packed.dockerfile,
      args,
      labels,
      noCache: true,
      ...(target === undefined ? {} : { target }),
    });
    const output: string[] = [];
    for await (const { event } of this.client.builds.follow(id)) {
      if (event.type === 'step-output') output.push(event.text);
      if (event.type === 'finished' && event.status !== 'succeeded') {
        const { code = event.status, message = '', line } = event.error ?? {};
        const said = output.slice(-12).join('');
        throw new BuildFailed(code, `wharf build failed: ${code} ${message} (line ${line})\n${said}`);
      }
    }
    return this.download(repository, folder);
  }

  async close(): Promise<void> {
    await this.platform.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  private async download(repository: string, folder: string): Promise<BuiltImage> {
    await mkdir(folder, { recursive: true });
    const stored = await this.registry.getManifest(repository, '1');
    if (stored === undefined) throw new Error(`${repository}:1 is not in the registry`);
    const manifest = JSON.parse(stored.bytes.toString()) as Manifest;
    const save = async (digest: Digest, file: string): Promise<string> => {
      const blob = await this.registry.getBlob(repository, digest);
      if (blob === undefined) throw new Error(`${digest} is not in the registry`);
      const path = join(folder, file);
      await pipeline(blob.stream, createWriteStream(path));
      return path;
    };
    const config = JSON.parse(await readFile(await save(manifest.config.digest, 'config.json'), 'utf8')) as ImageConfig;
    const layers: string[] = [];
    for (const [i, layer] of manifest.layers.entries()) layers.push(await save(layer.digest, `layer-${i}`));
    await writeFile(join(folder, 'manifest.json'), stored.bytes);
    return imageOf(config, layers);
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
