/**
 * The other peer: a BuildKit that runs already (BUILDKIT_HOST), asked by its `buildctl`. Debian has none, so this one
 * is for whoever does. Bases are handed over as OCI layouts under the names that cases use.
 */
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Digest, digestHex, digestOf, type ImageConfig, type Index, MediaType } from '../../lib/oci/index.js';
import type { Manifest } from '../../lib/oci/index.js';
import type { BaseImageFile } from './base-images.js';
import { BUILDKIT_EXPLAINED } from './explained-buildkit.js';
import { must, run } from './host-commands.js';
import { type BuildInput, type BuiltImage, imageOf } from './image-files.js';
import type { Peer } from './peer.js';

export class BuildkitEngine implements Peer {
  readonly name = 'buildkit';
  readonly buildsAll = true;
  /** All contexts have one name there: two at once would be mixed up. */
  readonly parallelism = 1;
  readonly explained = BUILDKIT_EXPLAINED;
  /** What makes a base known to one build. */
  private readonly bases: string[] = [];

  private constructor(private readonly folder: string) {}

  static async start(): Promise<BuildkitEngine> {
    await must('buildctl', ['debug', 'workers']);
    return new BuildkitEngine(await mkdtemp(join(tmpdir(), 'wharf-buildkit-')));
  }

  async load({ repository, tag, layer, diffId, config }: BaseImageFile): Promise<void> {
    const layout = join(this.folder, repository);
    const blobs = join(layout, 'blobs', 'sha256');
    await mkdir(blobs, { recursive: true });
    await symlink(layer, join(blobs, digestHex(diffId as Digest)));
    const { length: size } = await readFile(layer);
    const manifest: Manifest = {
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: await this.put(blobs, config, MediaType.ociConfig),
      layers: [{ mediaType: MediaType.ociLayer, digest: diffId as Digest, size }],
    };
    const described = await this.put(blobs, Buffer.from(JSON.stringify(manifest)), MediaType.ociManifest);
    const index: Index = { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [described] };
    await writeFile(join(layout, 'index.json'), JSON.stringify(index));
    await writeFile(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    this.bases.push(
      `--oci-layout=${repository}=${layout}`,
      `--opt=context:${repository}:${tag}=oci-layout://${repository}@${described.digest}`,
    );
  }

  async build(input: BuildInput, folder: string): Promise<BuiltImage> {
    await mkdir(folder, { recursive: true });
    const archive = join(folder, 'image.tar');
    const options = [
      `filename=${input.dockerfile}`,
      // Or `# syntax=` would have it fetch a frontend.
      'cmdline=none',
      ...Object.entries(input.args).map(([name, value]) => `build-arg:${name}=${value}`),
      ...Object.entries(input.labels).map(([name, value]) => `label:${name}=${value}`),
      ...(input.target === undefined ? [] : [`target=${input.target}`]),
    ];
    // Or files of the same size and time would be those of the last context.
    await run('buildctl', ['prune', '--filter=type==source.local']);
    const { exitCode, stdout, stderr } = await run('buildctl', [
      ...['build', '--progress=plain', '--frontend=dockerfile.v0', '--no-cache'],
      ...['context', 'dockerfile'].map((name) => `--local=${name}=${input.context}`),
      ...this.bases,
      ...options.map((option) => `--opt=${option}`),
      `--output=type=oci,compression=uncompressed,dest=${archive}`,
    ]);
    if (exitCode === 0) return readLayout(archive, folder);
    throw new Error(`buildctl failed:\n${`${stdout}\n${stderr}`.trim().split('\n').slice(-12).join('\n')}`);
  }

  async close(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  private async put(blobs: string, bytes: Buffer, mediaType: string): Promise<Manifest['config']> {
    const digest = digestOf(bytes);
    await writeFile(join(blobs, digestHex(digest)), bytes);
    return { mediaType, digest, size: bytes.length };
  }
}

async function readLayout(archive: string, folder: string): Promise<BuiltImage> {
  const layout = join(folder, 'layout');
  await mkdir(layout);
  await must('tar', ['-xf', archive, '-C', layout]);
  const blob = (digest: Digest): string => join(layout, 'blobs', 'sha256', digestHex(digest));
  const read = async <T>(file: string): Promise<T> => JSON.parse(await readFile(file, 'utf8')) as T;
  const { manifests } = await read<Index>(join(layout, 'index.json'));
  const [only] = manifests;
  if (only === undefined) throw new Error('buildctl wrote no image');
  const manifest = await read<Manifest>(blob(only.digest));
  // BuildKit writes null for an image without layers.
  const layers = (manifest.layers ?? []).map(({ digest }) => blob(digest));
  const config = await read<ImageConfig>(blob(manifest.config.digest));
  const diffIds = config.rootfs.diff_ids ?? [];
  return imageOf({ ...config, rootfs: { ...config.rootfs, diff_ids: diffIds } }, layers);
}
