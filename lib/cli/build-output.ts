/** Where the result of a build goes beside the registry: `-o`, in the forms that docker's command line has. */
import { resolve } from 'node:path';
import type { BuiltArchiveQuery } from '../client/index.js';
import { csvFields } from '../dockerfile/index.js';
import { AppError } from '../errors/index.js';
import type { ByteSource } from '../store/index.js';
import type { CommandDeps } from './deps.js';
import { FORM_FIELDS, type OutputForm, outputForm, withForms } from './output-form.js';
import { writeFolder } from './write-folder.js';
import { checkTarFile, writeTarFile } from './write-tar-file.js';

export interface BuildOutput {
  /** An image goes where its name says. */
  readonly type: 'image' | 'oci' | 'docker' | 'tar' | 'local';
  /** A path, or `-` for standard output. */
  readonly destination: string;
  /** An OCI layout as a folder. */
  readonly unpacked: boolean;
  /** Of the image, whatever it is written as. */
  readonly form?: OutputForm;
  /** Of a root folder. */
  readonly root?: BuiltRoot;
}

type BuiltRoot = Pick<BuiltArchiveQuery, 'platformSplit' | 'attestationPrefix'>;

const ACCEPTED =
  'a folder, - for a tar on standard output, type=oci|docker|tar|local,dest=<path>[,tar=false], or type=image,name=<name>; ' +
  `of an image also ${FORM_FIELDS.join(', ')}; of tar and local also platform-split, attestation-prefix`;

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
  const type = fields.get('type');
  const isImage = type === 'image' || type === 'registry';
  const known = [
    ...['type', ...(isImage ? [] : ['dest', 'tar'])],
    ...(isImage || type === 'oci' || type === 'docker' ? FORM_FIELDS : []),
    ...(type === 'tar' || type === 'local' ? ['platform-split', 'attestation-prefix'] : []),
  ];
  const unknown = [...fields.keys()].find((name) => !known.includes(name));
  if (unknown !== undefined) throw refuse(`${JSON.stringify(unknown)} is not known`);
  const form = outputForm(fields, refuse);
  const formed = Object.keys(form).length === 0 ? {} : { form };
  const root = rootForm(fields, refuse);
  const rooted = Object.keys(root).length === 0 ? {} : { root };
  if (isImage) return { type: 'image', destination: '', unpacked: false, ...formed };
  if (type !== 'oci' && type !== 'docker' && type !== 'tar' && type !== 'local') throw refuse('its type is not known');
  const unpacked = type === 'local' || fields.get('tar') === 'false';
  if (unpacked && type !== 'local' && type !== 'oci') throw refuse(`a ${type} is always one tar`);
  const destination = fields.get('dest') ?? (unpacked ? '' : '-');
  if (destination === '' || (unpacked && destination === '-')) throw refuse('dest is missing');
  return { type, destination, unpacked, ...formed, ...rooted };
}

function rootForm(fields: ReadonlyMap<string, string>, refuse: (why: string) => AppError): BuiltRoot {
  const split = fields.get('platform-split');
  const prefix = fields.get('attestation-prefix');
  if (split !== undefined && split !== 'true' && split !== 'false') throw refuse('platform-split is true or false');
  if (prefix?.includes('/') === true) throw refuse('attestation-prefix has a slash');
  return {
    ...(split === undefined ? {} : { platformSplit: split }),
    ...(prefix === undefined ? {} : { attestationPrefix: prefix }),
  };
}

/** The outputs, and the build as they want it. @throws AppError OUTPUT_INVALID */
export function readOutputs<
  T extends OutputForm & { readonly tags: readonly string[]; readonly outputs?: readonly string[] },
>(input: T): { readonly outputs: readonly BuildOutput[]; readonly input: T } {
  const outputs = (input.outputs ?? []).map(parseOutput);
  const refuse = (why: string): AppError => new AppError('OUTPUT_INVALID', `--output: ${why}`, { hint: ACCEPTED });
  const wanted = withForms(
    input,
    outputs.flatMap(({ form }) => form ?? []),
    refuse,
  );
  if (wanted.tags.length === 0 && outputs.some(({ type }) => type === 'image')) {
    throw refuse('an image gets into the registry by its name: -t <name>, or name=<name>');
  }
  return { outputs, input: wanted };
}

/** Before anything is built: what cannot be written is not worth a build. @throws AppError OUTPUT_UNWRITABLE */
export async function checkOutputs(outputs: readonly BuildOutput[], { cwd }: Pick<CommandDeps, 'cwd'>): Promise<void> {
  for (const { destination, unpacked } of outputs) {
    if (!unpacked && destination !== '' && destination !== '-') await checkTarFile(resolve(cwd, destination));
  }
}

/** Each output in turn. */
export async function writeOutputs(id: string, outputs: readonly BuildOutput[], deps: CommandDeps): Promise<void> {
  for (const { type, destination, unpacked, root } of outputs) {
    if (type === 'image') continue;
    const path = destination === '-' ? '-' : resolve(deps.cwd, destination);
    const format = type === 'local' || type === 'tar' ? 'rootfs' : type;
    const tar = await deps.client.builds.image(id, { format, ...root }, { signal: deps.interrupted });
    if (unpacked) await unpack(tar, path, deps);
    else await writeTarFile(tar, path);
  }
}

async function unpack(tar: AsyncIterable<Uint8Array>, folder: string, { output }: CommandDeps): Promise<void> {
  const skipped = await writeFolder(tar as ByteSource, folder);
  if (skipped > 0) output.say(`${folder}: without ${skipped} devices, sockets and named pipes\n`);
}
