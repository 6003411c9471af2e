/** Where the result of a build goes beside the registry: `-o`, in the forms that docker's command line has. */
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { BuildResult } from '../build/index.js';
import { csvFields } from '../dockerfile/index.js';
import { AppError } from '../errors/index.js';
import type { ByteSource } from '../store/index.js';
import type { CommandDeps } from './deps.js';
import { writeFolder } from './write-folder.js';
import { writeTarFile } from './write-tar-file.js';

export interface BuildOutput {
  readonly type: 'oci' | 'docker' | 'tar' | 'local';
  /** A path, or `-` for standard output. */
  readonly destination: string;
  /** An OCI layout as a folder. */
  readonly unpacked: boolean;
}

const ACCEPTED = 'a folder, - for a tar on standard output, or type=oci|docker|tar|local,dest=<path>[,tar=false]';

/** @throws AppError OUTPUT_INVALID */
export function parseOutput(text: string): BuildOutput {
  if (text === '-') return { type: 'tar', destination: '-', unpacked: false };
  if (!text.includes('=')) return { type: 'local', destination: text, unpacked: true };
  const fields = new Map(
    csvFields(text).map((field): [string, string] => {
      const equals = field.indexOf('=');
      return [field.slice(0, Math.max(equals, 0)).trim().toLowerCase(), field.slice(equals + 1)];
    }),
  );
  const refuse = (why: string): AppError =>
    new AppError('OUTPUT_INVALID', `--output ${JSON.stringify(text)}: ${why}`, { hint: ACCEPTED });
  const unknown = [...fields.keys()].find((name) => !['type', 'dest', 'tar'].includes(name));
  if (unknown !== undefined) throw refuse(`${JSON.stringify(unknown)} is not known`);
  const type = fields.get('type');
  if (type === 'image' || type === 'registry') throw refuse(`an image gets into the registry by its name: -t <name>`);
  if (type !== 'oci' && type !== 'docker' && type !== 'tar' && type !== 'local') throw refuse('its type is not known');
  const unpacked = type === 'local' || fields.get('tar') === 'false';
  if (unpacked && type !== 'local' && type !== 'oci') throw refuse(`a ${type} is always one tar`);
  const destination = fields.get('dest') ?? (unpacked ? '' : '-');
  if (destination === '' || (unpacked && destination === '-')) throw refuse('dest is missing');
  return { type, destination, unpacked };
}

/** Each output in turn. Of several platforms a local folder has one folder each, as with docker. */
export async function writeOutputs(
  id: string,
  { platforms = [] }: Pick<BuildResult, 'platforms'>,
  outputs: readonly BuildOutput[],
  deps: CommandDeps,
): Promise<void> {
  for (const { type, destination, unpacked } of outputs) {
    const path = destination === '-' ? '-' : resolve(deps.cwd, destination);
    const format = type === 'local' || type === 'tar' ? 'rootfs' : type;
    if (type === 'local' && platforms.length > 1) {
      await mkdir(path, { recursive: true });
      for (const { platform } of platforms) {
        await unpack(await tarOf(id, { format, platform }, deps), join(path, platform.replaceAll('/', '_')), deps);
      }
      continue;
    }
    const tar = await tarOf(id, { format }, deps);
    if (unpacked) await unpack(tar, path, deps);
    else await writeTarFile(tar, path);
  }
}

function tarOf(
  id: string,
  query: { readonly format: 'oci' | 'docker' | 'rootfs'; readonly platform?: string },
  { client, interrupted }: CommandDeps,
): Promise<AsyncIterable<Uint8Array>> {
  return client.builds.image(id, query, { signal: interrupted });
}

async function unpack(tar: AsyncIterable<Uint8Array>, folder: string, { output }: CommandDeps): Promise<void> {
  const skipped = await writeFolder(tar as ByteSource, folder);
  if (skipped > 0) output.say(`${folder}: without ${skipped} devices, sockets and named pipes\n`);
}
