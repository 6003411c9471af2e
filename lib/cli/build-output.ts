/**
 * `wharf build --output`, as docker has it: the image, or the files of its root folder, besides in the registry also on
 * this machine. A folder is written by the machine's tar from a stream in which everything was looked at first.
 */
import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { BuildResult } from '../build/index.js';
import { csvFields } from '../dockerfile/index.js';
import { AppError } from '../errors/index.js';
import { readTar, type TarMember, writeTar } from '../layers/index.js';
import type { BuildInput } from './commands/build.js';
import { exportImage } from './commands/export-image.js';
import type { CommandDeps } from './deps.js';

export interface BuildOutput {
  readonly type: 'local' | 'tar' | 'oci' | 'docker';
  /** A folder for `local`, a file or `-` for the others. */
  readonly dest: string;
}

const HINT = '-o <folder>, -o - for a tar, or type=local|tar|oci|docker,dest=<where to>';
const FORMAT = { tar: 'rootfs', oci: 'oci', docker: 'docker' } as const;

/** @param text `out`, `-`, `type=oci,dest=image.tar` @throws AppError OUTPUT_INVALID */
export function parseOutput(text: string): BuildOutput {
  if (text === '-') return { type: 'tar', dest: '-' };
  if (!/^[a-z]+=/.test(text)) {
    if (text === '') throw invalid(text, 'names no place');
    return { type: 'local', dest: text };
  }
  const fields = new Map(csvFields(text).map((field) => [field.replace(/=.*$/s, ''), field.replace(/^[^=]*=?/s, '')]));
  const type = fields.get('type') ?? 'local';
  const dest = fields.get('dest') ?? '';
  const unknown = [...fields.keys()].find((key) => key !== 'type' && key !== 'dest');
  if (unknown !== undefined) throw invalid(text, `has "${unknown}"`);
  if (type !== 'local' && type !== 'tar' && type !== 'oci' && type !== 'docker') {
    throw invalid(text, `has the type "${type}"`);
  }
  if (dest === '' || (type === 'local' && dest === '-')) throw invalid(text, 'names no place');
  return { type, dest };
}

/** What can be refused before the build is. @throws AppError OUTPUT_NEEDS_TAG, OUTPUT_INVALID */
export function checkOutput(
  output: BuildOutput,
  { tags, platforms = [], json = false }: Pick<BuildInput, 'tags' | 'platforms' | 'json'>,
): void {
  if (json && output.dest === '-') {
    throw new AppError('OUTPUT_INVALID', '--json and the archive cannot both go to standard output', { hint: HINT });
  }
  if (tags.length === 0) {
    throw new AppError('OUTPUT_NEEDS_TAG', '--output takes the image out of the registry, and this one has no name', {
      hint: 'name it: -t app',
    });
  }
  if (platforms.length > 1 && (output.type === 'tar' || output.type === 'docker')) {
    throw new AppError('OUTPUT_INVALID', `--output type=${output.type} holds one platform`, {
      hint: 'one --platform; or type=oci, or type=local with a folder for each',
    });
  }
}

export async function writeOutput(output: BuildOutput, result: BuildResult, deps: CommandDeps): Promise<void> {
  const [tag = ''] = result.tags;
  // By digest: a tag may have moved on meanwhile.
  const reference = output.type === 'oci' || output.type === 'docker' ? tag : `${tag}@${result.digest}`;
  if (output.type !== 'local') {
    return exportImage({ reference, file: output.dest, format: FORMAT[output.type] }, deps);
  }
  const folder = resolve(deps.cwd, output.dest);
  const platforms = result.platforms?.map(({ platform }) => platform) ?? [];
  if (platforms.length < 2) return writeFolder(reference, folder, platforms[0], deps);
  for (const platform of platforms) {
    await writeFolder(reference, join(folder, platform.replaceAll('/', '_')), platform, deps);
  }
}

async function writeFolder(
  reference: string,
  folder: string,
  platform: string | undefined,
  { client, interrupted, output }: CommandDeps,
): Promise<void> {
  const query = { format: 'rootfs', ...(platform === undefined ? {} : { platform }) } as const;
  const tar = await client.images.export(reference, query, { signal: interrupted });
  await mkdir(folder, { recursive: true });
  const child = spawn('tar', ['-x', '-p', '--no-same-owner', '-f', '-', '-C', folder], {
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const ended = new Promise<string>((done) => {
    child.once('error', ({ message }) => done(message));
    child.once('close', (code) => done(code === 0 ? '' : said.trim().split('\n')[0] || `tar ended with ${code}`));
  });
  const failure = await pipeline(Readable.from(writeTar(plainFiles(tar))), child.stdin).catch(
    (error: unknown) => error,
  );
  const problem = await ended;
  if (problem !== '') throw new AppError('OUTPUT_FAILED', `${folder}: ${problem}`, { kind: 'failed' });
  if (failure !== undefined) throw failure;
  output.say(`${folder}\n`);
}

/** Without devices and pipes, which only root may make, and under names that cannot leave the folder. */
async function* plainFiles(tar: AsyncIterable<Uint8Array>): AsyncGenerator<TarMember, void> {
  for await (const member of readTar(tar, { mode: 'strict' })) {
    const { type } = member.entry;
    if (type !== 'char' && type !== 'block' && type !== 'fifo') yield member;
  }
}

function invalid(text: string, what: string): AppError {
  return new AppError('OUTPUT_INVALID', `--output ${JSON.stringify(text)} ${what}`, { hint: HINT });
}
