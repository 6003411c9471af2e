/**
 * A folder with build caches, as docker's `type=local` has it: an OCI layout whose index.json names one cache by each
 * tag. Blobs are added, each once, checked against its name; the index changes last, so what it names is there.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createWriteStream, existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { AppError } from '../errors/index.js';
import { readTar } from '../layers/index.js';
import { type Descriptor, parseManifestDocument } from '../oci/index.js';
import type { ByteSource } from '../store/index.js';

const REF_NAME = 'org.opencontainers.image.ref.name';
const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';
const BLOB = /^blobs\/(sha256|sha512)\/([0-9a-f]+)$/;

export interface WantedCache {
  readonly tag: string;
  readonly digest?: string;
}

/** What of a folder to send: its cache's digest, and what does not belong to that; or why there is nothing to send. */
export type FoundCache =
  { readonly digest: string; readonly exclude: readonly string[] } | { readonly skipped: string };

export function readCacheFolder(folder: string, wanted: WantedCache): FoundCache {
  try {
    return find(folder, wanted);
  } catch (error) {
    if (error instanceof AppError) return { skipped: error.message };
    throw error;
  }
}

function find(folder: string, { tag, digest }: WantedCache): FoundCache {
  const entry = readIndex(folder)?.find((each) =>
    digest === undefined ? isTagged(each, tag) : each.digest === digest,
  );
  if (entry === undefined) return { skipped: `there is no index.json that has ${digest ?? `the tag ${tag}`}` };
  const blobs = namedBy(folder, entry);
  if (blobs === undefined) return { skipped: `${entry.digest} is not there` };
  return { digest: entry.digest, exclude: ['**', '!index.json', '!oci-layout', ...blobs.map((path) => `!${path}`)] };
}

/**
 * Takes a cache in, as the platform sends it.
 * @throws AppError CACHE_BROKEN when the tar is not what it says
 */
export async function writeCacheFolder(
  tar: ByteSource,
  folder: string,
  { tag, reset }: { readonly tag: string; readonly reset: boolean },
): Promise<void> {
  let sent: Descriptor | undefined;
  for await (const { entry, body } of readTar(tar, { mode: 'strict' })) {
    if (entry.path === 'index.json') [sent] = parseIndex(Buffer.concat(await chunksOf(body))) ?? [];
    const [, algorithm = '', hex = ''] = BLOB.exec(entry.path) ?? [];
    if (algorithm !== '' && entry.type === 'file') await writeBlob(join(folder, entry.path), algorithm, hex, body);
  }
  if (sent === undefined) throw broken('it has no index.json that names a cache');
  const entry: Descriptor = { ...sent, annotations: { [REF_NAME]: tag } };
  const others = (readIndex(folder) ?? []).filter((each) => !isTagged(each, tag));
  const manifests = [...others, entry];
  await writeWhole(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  await writeWhole(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, mediaType: INDEX_TYPE, manifests }));
  if (reset) await removeOthers(folder, manifests);
}

function isTagged({ annotations }: Descriptor, tag: string): boolean {
  return annotations?.[REF_NAME] === tag;
}

function readIndex(folder: string): readonly Descriptor[] | undefined {
  const path = join(folder, 'index.json');
  return existsSync(path) ? parseIndex(readFileSync(path)) : undefined;
}

function parseIndex(bytes: Buffer): readonly Descriptor[] | undefined {
  const document = parseManifestDocument(bytes, INDEX_TYPE);
  return document.kind === 'index' ? document.index.manifests : undefined;
}

/** Paths of the blobs that a cache consists of; undefined when it cannot be read. */
function namedBy(folder: string, { digest, mediaType }: Descriptor): readonly string[] | undefined {
  const path = pathOf(digest);
  if (!existsSync(join(folder, path))) return undefined;
  const document = parseManifestDocument(readFileSync(join(folder, path)), mediaType);
  const named =
    document.kind === 'manifest' ? [document.manifest.config, ...document.manifest.layers] : document.index.manifests;
  return [path, ...named.map((each) => pathOf(each.digest))];
}

function pathOf(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}

async function writeBlob(path: string, algorithm: string, hex: string, body: AsyncIterable<Uint8Array>): Promise<void> {
  if (existsSync(path)) return;
  await mkdir(dirname(path), { recursive: true });
  const partial = `${path}.${randomBytes(6).toString('hex')}`;
  const hash = createHash(algorithm);
  try {
    await pipeline(hashed(body, hash), createWriteStream(partial, { flags: 'wx' }));
    if (hash.digest('hex') !== hex) throw broken(`the bytes of ${algorithm}:${hex} are others`);
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

async function* hashed(
  body: AsyncIterable<Uint8Array>,
  hash: { update(chunk: Uint8Array): unknown },
): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of body) {
    hash.update(chunk);
    yield chunk;
  }
}

async function writeWhole(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const partial = `${path}.${randomBytes(6).toString('hex')}`;
  await writeFile(partial, text);
  await rename(partial, path);
}

async function removeOthers(folder: string, manifests: readonly Descriptor[]): Promise<void> {
  const kept = new Set(manifests.flatMap((each) => namedBy(folder, each) ?? [pathOf(each.digest)]));
  for (const algorithm of await readdir(join(folder, 'blobs'))) {
    for (const name of await readdir(join(folder, 'blobs', algorithm))) {
      const path = `blobs/${algorithm}/${name}`;
      if (!kept.has(path)) await rm(join(folder, path));
    }
  }
}

async function chunksOf(body: AsyncIterable<Uint8Array>): Promise<Buffer[]> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(Buffer.from(chunk));
  return chunks;
}

function broken(why: string): AppError {
  return new AppError('CACHE_BROKEN', `the cache that was fetched is broken: ${why}`, {
    kind: 'failed',
    hint: 'build again',
  });
}
