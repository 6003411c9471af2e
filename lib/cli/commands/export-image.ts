/** `wharf images export`: an image as a tar, in a file that is whole or not there. */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { formatBytes } from '../../http/text/index.js';
import type { CommandDeps } from '../deps.js';
import { printJson } from '../output.js';
import { checkTarFile, writeTarFile } from '../write-tar-file.js';

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
  const path = input.file === '-' ? '-' : resolve(deps.cwd, input.file);
  await checkTarFile(path);
  const tar = await deps.client.images.export(reference, query, { signal: interrupted });
  if (path === '-') return writeTarFile(tar, '-');
  await writeTarFile(tar, path);
  const { size } = await stat(path);
  if (input.json === true) printJson(output, { reference, file: path, sizeBytes: size });
  else output.say(`${input.file}: ${formatBytes(size)}\n`);
}
