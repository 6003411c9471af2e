/** `wharf images export`: an image as a tar, in a file that is whole or not there. */
import { createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { formatBytes } from '../../http/text/index.js';
import type { CommandDeps } from '../deps.js';
import { printJson } from '../output.js';

export interface ExportImageInput {
  readonly reference: string;
  /** A path, or `-` for standard output. */
  readonly file: string;
  readonly format: 'oci' | 'docker' | 'rootfs';
  readonly platform?: string;
  readonly json?: boolean;
}

export async function exportImage(input: ExportImageInput, deps: CommandDeps): Promise<void> {
  const { reference, format, platform } = input;
  const { output, interrupted } = deps;
  const query = platform === undefined ? { format } : { format, platform };
  const tar = await deps.client.images.export(reference, query, { signal: interrupted });
  if (input.file === '-') return pipeline(tar, process.stdout, { end: false });
  const path = resolve(deps.cwd, input.file);
  const partial = `${path}.partial`;
  try {
    await pipeline(tar, createWriteStream(partial));
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
  const { size } = await stat(path);
  if (input.json === true) printJson(output, { reference, file: path, sizeBytes: size });
  else output.say(`${input.file}: ${formatBytes(size)}\n`);
}
