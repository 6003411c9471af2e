/** An image as files on disk: its config and its layer tars, whoever built it. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImageConfig } from '../../lib/oci/index.js';
import { must } from './host-commands.js';

export interface BuildInput {
  readonly name: string;
  /** Folder that is the build context. */
  readonly context: string;
  /** Relative to the context. */
  readonly dockerfile: string;
  readonly args: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly target?: string;
}

export interface LayerFile {
  readonly file: string;
  readonly diffId: string;
}

export interface BuiltImage {
  readonly config: ImageConfig;
  /** Bottom to top. */
  readonly layers: readonly LayerFile[];
}

/** What `docker save` wrote, unpacked by GNU tar. */
export async function readSavedImage(folder: string): Promise<BuiltImage> {
  const files = join(folder, 'saved');
  await mkdir(files);
  await must('tar', ['-xf', join(folder, 'saved.tar'), '-C', files]);
  const [manifest] = JSON.parse(await readFile(join(files, 'manifest.json'), 'utf8')) as {
    Config: string;
    Layers: string[];
  }[];
  if (manifest === undefined) throw new Error('docker save wrote no image');
  const config = JSON.parse(await readFile(join(files, manifest.Config), 'utf8')) as ImageConfig;
  return imageOf(
    config,
    manifest.Layers.map((layer) => join(files, layer)),
  );
}

export function imageOf(config: ImageConfig, files: readonly string[]): BuiltImage {
  const { diff_ids: diffIds } = config.rootfs;
  if (diffIds.length !== files.length) throw new Error(`${files.length} layers, but ${diffIds.length} diff ids`);
  return { config, layers: files.map((file, i) => ({ file, diffId: diffIds[i] ?? '' })) };
}
